// SPDX-License-Identifier: Apache-2.0
#include "xds/ads_response.h"

#include <xxhash.h>

#include "base/text.h"
#include "xds/proto/discovery.pb.h"

namespace weir::xds {

namespace {

constexpr std::size_t kMaxErrorText = 16 * 1024;

class Parser {
 public:
  Parser(ResourceType type, const Names* subscribed, const std::function<const Resource*(const std::string&)>& latest,
         ResourceSink& sink)
      : type_(type), subscribed_(subscribed), latest_(latest), sink_(sink) {}

  void parse(const google::protobuf::Any& any) {
    if (any.type_url() != type_url(type_)) {
      return nameless(fmt::format("a resource of type \"{}\" in an answer for {}", printable(any.type_url()), short_name(type_)));
    }
    std::unique_ptr<google::protobuf::Message> message = new_message(type_);
    if (!message->ParseFromString(any.value())) {
      return nameless(fmt::format("{} bytes that are not a {}", any.value().size(), type_url(type_)));
    }
    std::string name = resource_name(type_, *message);
    if (name.empty()) return nameless("a resource without a name");
    if (!out.seen.insert(name).second) {
      out.bad.emplace_back(name, "twice in one answer; the first counts");
      return;
    }
    if (subscribed_ != nullptr && !subscribed_->contains(name)) {
      out.warnings.push_back({Severity::warning,
                              {},
                              std::string(short_name(type_)),
                              "",
                              fmt::format("{} was not asked for; ignored", printable(name)),
                              ""});
      return;
    }
    judge(name, any.value(), *message);
  }

  ParsedResponse out;
  void nameless(std::string why) { out.nameless.push_back(std::move(why)); }

 private:
  void judge(const std::string& name, const std::string& body, const google::protobuf::Message& message) {
    auto resource = std::make_shared<Resource>(Resource{name, body, XXH3_64bits(body.data(), body.size())});
    const Resource* latest = latest_(name);
    if (latest != nullptr && latest->hash == resource->hash && latest->body == body) {
      out.good.push_back({name, std::move(resource), {}, true});
      return;
    }
    std::vector<Problem> problems;
    Compiled compiled = sink_.compile(type_, message, problems);
    for (const Problem& problem : problems) {
      if (problem.severity == Severity::warning) out.warnings.push_back(problem);
    }
    if (weir::has_errors(problems)) {
      out.bad.emplace_back(name, errors_of(problems));
    } else {
      out.good.push_back({name, std::move(resource), std::move(compiled), false});
    }
  }

  ResourceType type_;
  const Names* subscribed_;
  const std::function<const Resource*(const std::string&)>& latest_;
  ResourceSink& sink_;
};

}  // namespace

std::string ParsedResponse::error_text() const {
  std::vector<std::string> lines = nameless;
  for (const auto& [name, why] : bad) lines.push_back(fmt::format("{}: {}", name, why));
  std::string text = join(lines, "\n");
  if (text.size() <= kMaxErrorText) return text;
  text.resize(kMaxErrorText);
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0x80U) != 0) text.pop_back();  // no half character
  return text;
}

std::string errors_of(const std::vector<Problem>& problems) {
  std::vector<std::string> lines;
  for (const Problem& problem : problems) {
    if (problem.severity == Severity::error) lines.push_back(to_text(problem));
  }
  return join(lines, "; ");
}

ParsedResponse parse_response(ResourceType type, const envoy::service::discovery::v3::DiscoveryResponse& response,
                              std::size_t max_resources, const Names* subscribed,
                              const std::function<const Resource*(const std::string&)>& latest, ResourceSink& sink) {
  Parser parser(type, subscribed, latest, sink);
  if (static_cast<std::size_t>(response.resources_size()) > max_resources) {
    parser.nameless(fmt::format("{} resources in one answer, at most {}", response.resources_size(), max_resources));
  } else {
    for (const google::protobuf::Any& any : response.resources()) parser.parse(any);
  }
  return std::move(parser.out);
}

}  // namespace weir::xds
