// SPDX-License-Identifier: Apache-2.0
#include "ctl/question.h"

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"

namespace weir::ctl {

namespace {

namespace json = boost::json;

/// Collects what is wrong with one question, by the names that its writer used.
class Reader {
 public:
  Reader(Question& question, std::vector<Problem>& problems, std::string prefix, SourceRef where)
      : question_(question), problems_(problems), prefix_(std::move(prefix)), where_(std::move(where)) {}

  void say(std::string_view field, std::string message, std::string hint = "") {
    Problem problem = wrong(prefix_ + std::string(field), std::move(message), std::move(hint));
    problem.where = where_;
    problems_.push_back(std::move(problem));
  }
  void to(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    auto port = colon == std::string::npos ? std::nullopt : parse_uint(std::string_view(text).substr(colon + 1), 65535);
    if (colon == 0 || !port || *port == 0)
      return say("to", fmt::format("\"{}\" is not a host and a port", printable(text)),
                 "write it like reviews:9080, 10.0.0.7:80 or [fd00::7]:80");
    question_.host = text.substr(0, colon);
    question_.port = static_cast<Port>(*port);
  }
  void as(std::string_view text) {
    const std::size_t equals = text.find('=');
    const std::string_view number = equals == std::string_view::npos ? text : text.substr(equals + 1);
    auto uid = parse_uint(number, UINT32_MAX - 1);
    if (!uid || (equals != std::string_view::npos && text.substr(0, equals) != "uid"))
      return say("as", fmt::format("\"{}\" is not a user", printable(text)), "write it like uid=1000");
    question_.uid = static_cast<std::uint32_t>(*uid);
  }
  void family(std::string_view text) {
    if (text == "4" || text == "6")
      question_.family = text == "4" ? Family::v4 : Family::v6;
    else
      say("family", fmt::format("\"{}\" is not known", printable(text)), "use 4 or 6");
  }
  void protocol(std::string_view text) {
    static constexpr std::string_view kNames[] = {"http", "tcp", "tls"};
    for (std::size_t i = 0; i < std::size(kNames); ++i)
      if (text == kNames[i]) {
        question_.protocol = static_cast<Question::Protocol>(i);
        return;
      }
    say("protocol", fmt::format("\"{}\" is not known", printable(text)), "use http, tcp or tls");
  }
  void path(const std::string& text) {
    if (!text.starts_with('/'))
      return say("path", fmt::format("\"{}\" does not begin with a slash", printable(text)), "write it like /reviews/1?x=y");
    question_.path = text;
  }
  void header(std::string_view text) {
    const std::size_t mark = text.find_first_of("=:");
    if (mark == std::string_view::npos || mark == 0)
      return say("header", fmt::format("\"{}\" is not a name and a value", printable(text)), "write it like -H end-user=jason");
    question_.headers.emplace_back(trim(text.substr(0, mark)), trim(text.substr(mark + 1)));
  }

 private:
  Question& question_;
  std::vector<Problem>& problems_;
  std::string prefix_;
  SourceRef where_;
};

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.get_string().data(), value.get_string().size()) : json::serialize(value);
}

void read_headers(const json::value& value, Question& question, Reader& reader) {
  question.headers.clear();
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) question.headers.emplace_back(std::string(member.key()), text_of(member.value()));
  } else if (const auto* list = value.if_array()) {
    for (const json::value& item : *list) {
      const auto* pair = item.if_array();
      if (pair == nullptr || pair->size() != 2)
        return reader.say("headers", "has an item that is no pair", "write [[\"name\", \"value\"], …] or {\"name\": \"value\"}");
      question.headers.emplace_back(text_of((*pair)[0]), text_of((*pair)[1]));
    }
  } else {
    reader.say("headers", "is neither an object nor a list");
  }
}

}  // namespace

Question read_question(const Arguments& arguments, std::vector<Problem>& problems) {
  Question question;
  Reader reader(question, problems, "flag --", {});
  question.from = arguments.get("from");
  if (arguments.has("to")) reader.to(arguments.get("to"));
  if (arguments.has("as")) reader.as(arguments.get("as"));
  // Their choices were checked with the command line.
  std::vector<Problem> told;
  Reader quiet(question, told, "", {});
  if (arguments.has("family")) quiet.family(arguments.get("family"));
  if (arguments.has("protocol")) quiet.protocol(arguments.get("protocol"));
  question.server_name = to_lower(arguments.get("sni"));
  if (!question.server_name.empty() && question.protocol != Question::Protocol::tls)
    reader.say("sni", "is for --protocol tls only");
  question.method = arguments.get("method", "GET");
  if (arguments.has("path")) reader.path(arguments.get("path"));
  for (const std::string& header : arguments.all("header")) reader.header(header);
  return question;
}

Question read_question(std::string_view text, const Question& defaults, const SourceRef& where, std::vector<Problem>& problems) {
  Question question = defaults;
  Reader reader(question, problems, "", where);
  auto document = parse_json(text);
  if (!document || !document->is_object()) {
    reader.say("line", document ? "is no JSON object" : document.error().to_text(),
               "write it like {\"to\": \"reviews:9080\", \"headers\": {\"end-user\": \"jason\"}}");
    return question;
  }
  for (const auto& member : document->get_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    const std::string value = text_of(member.value());
    if (key == "from")
      question.from = value;
    else if (key == "to")
      reader.to(value);
    else if (key == "as")
      reader.as(value);
    else if (key == "family")
      reader.family(value);
    else if (key == "protocol")
      reader.protocol(value);
    else if (key == "sni")
      question.server_name = to_lower(value);
    else if (key == "method")
      question.method = value;
    else if (key == "path")
      reader.path(value);
    else if (key == "headers")
      read_headers(member.value(), question, reader);
    else if (key != "id")
      reader.say(key, "is not known", "use from, to, as, family, protocol, sni, method, path, headers or id");
  }
  if (question.port == 0) reader.say("to", "is missing", "write it like \"to\": \"reviews:9080\"");
  return question;
}

}  // namespace weir::ctl
