// SPDX-License-Identifier: Apache-2.0
#include "proxy/field_report.h"

#include <algorithm>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "xds/messages.h"

namespace weir::proxy {

namespace {

namespace pb = google::protobuf;

class Walker {
 public:
  Walker(const std::vector<std::string_view>& known, const std::string& object, std::vector<Problem>& problems)
      : known_(known), object_(object), problems_(problems) {
    for (const Problem& problem : problems)
      if (problem.object == object) named_.push_back(problem.path);
  }

  void walk(const pb::Message& message, const std::string& plain, const std::string& path) {
    const pb::Reflection& reflection = *message.GetReflection();
    std::vector<const pb::FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const pb::FieldDescriptor* field : fields) {
      const std::string below = plain.empty() ? field->name() : plain + "." + field->name();
      const std::string here = path.empty() ? field->name() : path + "." + field->name();
      if (std::find(known_.begin(), known_.end(), below) != known_.end()) continue;
      const bool leads_on = std::any_of(known_.begin(), known_.end(), [&](std::string_view known) {
        return known.size() > below.size() && known.substr(0, below.size()) == below && known[below.size()] == '.';
      });
      if (!leads_on) {
        report(here);
      } else if (field->is_repeated()) {
        for (int i = 0; i < reflection.FieldSize(message, field); ++i)
          walk(reflection.GetRepeatedMessage(message, field, i), below, fmt::format("{}[{}]", here, i));
      } else {
        walk(reflection.GetMessage(message, field), below, here);
      }
    }
  }

 private:
  void report(const std::string& path) {
    const bool named = std::any_of(named_.begin(), named_.end(),
                                   [&](const std::string& other) { return other.compare(0, path.size(), path) == 0; });
    if (!named) problems_.push_back({Severity::warning, {}, object_, path, "is not implemented: it has no effect", ""});
  }

  const std::vector<std::string_view>& known_;
  const std::string& object_;
  std::vector<Problem>& problems_;
  std::vector<std::string> named_;
};

}  // namespace

void report_unknown_fields(const pb::Message& message, const std::vector<std::string_view>& known, const std::string& object,
                           std::vector<Problem>& problems) {
  Walker(known, object, problems).walk(message, "", "");
  for (const xds::UnknownField& field : xds::unknown_fields(message))
    problems.push_back(
        {Severity::warning, {}, object, field.path, fmt::format("{} is not implemented: it has no effect", field.to_text()), ""});
}

}  // namespace weir::proxy
