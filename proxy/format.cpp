// SPDX-License-Identifier: Apache-2.0
#include "proxy/format.h"

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "proxy/escape.h"
#include "proxy/format_operator.h"

namespace weir::proxy {

const std::string_view kDefaultTextFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% "
    "%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% "
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME% "
    "rule=\"%METADATA(ROUTE:weir:rule)%\" at=%METADATA(ROUTE:weir:file)%:%METADATA(ROUTE:weir:line)%\n";

const std::string_view kDefaultJsonFormat =
    R"({"start_time":"%START_TIME%","method":"%REQ(:METHOD)%",)"
    R"("path":"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%","protocol":"%PROTOCOL%","response_code":"%RESPONSE_CODE%",)"
    R"("response_flags":"%RESPONSE_FLAGS%","response_code_details":"%RESPONSE_CODE_DETAILS%",)"
    R"("connection_termination_details":"%CONNECTION_TERMINATION_DETAILS%",)"
    R"("upstream_transport_failure_reason":"%UPSTREAM_TRANSPORT_FAILURE_REASON%","bytes_received":"%BYTES_RECEIVED%",)"
    R"("bytes_sent":"%BYTES_SENT%","duration":"%DURATION%","upstream_service_time":"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",)"
    R"("x_forwarded_for":"%REQ(X-FORWARDED-FOR)%","user_agent":"%REQ(USER-AGENT)%","request_id":"%REQ(X-REQUEST-ID)%",)"
    R"("authority":"%REQ(:AUTHORITY)%","upstream_host":"%UPSTREAM_HOST%","upstream_cluster":"%UPSTREAM_CLUSTER_RAW%",)"
    R"("upstream_local_address":"%UPSTREAM_LOCAL_ADDRESS%","downstream_local_address":"%DOWNSTREAM_LOCAL_ADDRESS%",)"
    R"("downstream_remote_address":"%DOWNSTREAM_REMOTE_ADDRESS%","requested_server_name":"%REQUESTED_SERVER_NAME%",)"
    R"("route_name":"%ROUTE_NAME%","rule":"%METADATA(ROUTE:weir:rule)%","rule_file":"%METADATA(ROUTE:weir:file)%",)"
    R"("rule_line":"%METADATA(ROUTE:weir:line)%"})";

namespace {

/// How an operator's value is written.
enum class Style : std::uint8_t {
  quoted,     ///< text, inside double quotes
  bare,       ///< text, between blanks
  json_part,  ///< inside a JSON string
  json,       ///< a JSON value of its own
  header,
};

struct Segment {
  std::string literal;  ///< written before the operator
  Operator op;
  Style style = Style::bare;
  bool has_op = false;
};

/// What of `format` belongs to the operator that begins at its first percent sign; an argument may hold percent signs.
std::string_view operator_text(std::string_view format) {
  std::size_t stop = format.find_first_of("%(", 1);
  if (stop != std::string_view::npos && format[stop] == '(') {
    std::size_t close = format.find(')', stop);
    stop = close == std::string_view::npos ? close : format.find('%', close);
  }
  return stop == std::string_view::npos ? std::string_view{} : format.substr(0, stop + 1);
}

/// Literals and operators in turn. `where` names the format in errors ("" for a plain one).
Result<std::vector<Segment>> parse(std::string_view format, const std::string& where) {
  std::vector<Segment> segments(1);
  for (std::size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%') {
      segments.back().literal += format[at];
      continue;
    }
    if (format.substr(at).starts_with("%%")) {
      segments.back().literal += '%';
      ++at;
      continue;
    }
    std::string_view text = operator_text(format.substr(at));
    if (text.empty()) {
      return fail(ErrorCode::usage, "{}\"{}\" at position {} does not end; write %% for a percent sign", where,
                  printable(format.substr(at), 40), at + 1);
    }
    auto op = parse_operator(text.substr(1, text.size() - 2));
    if (!op)
      return fail(ErrorCode::usage, "{}operator {} at position {} {}", where, printable(text), at + 1, op.error().message());
    segments.back().op = std::move(*op);
    segments.back().has_op = true;
    segments.emplace_back();
    at += text.size() - 1;
  }
  if (segments.back().literal.empty()) segments.pop_back();
  return segments;
}

/// Whether an operator stands between double quotes: an odd number of them before it.
void mark_quotes(std::vector<Segment>& segments) {
  bool inside = false;
  for (Segment& segment : segments) {
    for (char c : segment.literal) inside ^= c == '"';
    segment.style = inside ? Style::quoted : Style::bare;
  }
}

/// Walks a JSON template and gathers literals (punctuation, keys, constants) and operators.
class JsonCompiler {
 public:
  Result<> add(const boost::json::value& value, const std::string& path) {
    if (const auto* object = value.if_object()) return add_object(*object, path);
    if (const auto* array = value.if_array()) return add_array(*array, path);
    if (const auto* text = value.if_string()) return add_text({text->data(), text->size()}, path);
    literal_ += boost::json::serialize(value);
    return {};
  }
  std::vector<Segment> finish() {
    segments_.push_back({literal_ + "\n", {}, Style::json, false});
    return std::move(segments_);
  }

 private:
  Result<> add_object(const boost::json::object& object, const std::string& path) {
    literal_ += '{';
    bool is_first = true;
    for (const auto& [key, value] : object) {
      if (!std::exchange(is_first, false)) literal_ += ',';
      literal_ += json_quote(key) + ':';
      std::string member = path.empty() ? std::string(key) : path + '.' + std::string(key);
      if (auto added = add(value, member); !added) return added;
    }
    literal_ += '}';
    return {};
  }
  Result<> add_array(const boost::json::array& array, const std::string& path) {
    literal_ += '[';
    for (std::size_t i = 0; i < array.size(); ++i) {
      if (i > 0) literal_ += ',';
      if (auto added = add(array[i], fmt::format("{}[{}]", path, i)); !added) return added;
    }
    literal_ += ']';
    return {};
  }
  Result<> add_text(std::string_view text, const std::string& path) {
    auto parsed = parse(text, "member \"" + path + "\": ");
    if (!parsed) return tl::unexpected(parsed.error());
    bool is_alone = parsed->size() == 1 && parsed->front().has_op && parsed->front().literal.empty();
    if (!is_alone) literal_ += '"';
    for (Segment& segment : *parsed) {
      std::string quoted = json_quote(segment.literal);
      literal_ += std::string_view(quoted).substr(1, quoted.size() - 2);
      if (!segment.has_op) continue;
      segments_.push_back({std::exchange(literal_, {}), std::move(segment.op), is_alone ? Style::json : Style::json_part, true});
    }
    if (!is_alone) literal_ += '"';
    return {};
  }

  std::vector<Segment> segments_;
  std::string literal_;
};

void write_value(std::string& out, const Segment& segment, std::string_view value) {
  switch (segment.style) {
    case Style::quoted:
    case Style::bare:
      if (value.empty()) value = "-";
      escape_text(out, value, segment.style == Style::bare ? Blanks::escape : Blanks::keep);
      break;
    case Style::json_part: escape_json(out, value.empty() ? "-" : value); break;
    case Style::json:
      if (value.empty()) {
        out += "null";
      } else if (segment.op.is_number && is_json_number(value)) {
        out += value;
      } else {
        out += '"';
        escape_json(out, value);
        out += '"';
      }
      break;
    case Style::header: escape_header(out, value); break;
  }
}

}  // namespace

struct Format::Impl {
  std::vector<Segment> segments;
};

Format::Format(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Format::Format(Format&&) noexcept = default;
Format& Format::operator=(Format&&) noexcept = default;
Format::~Format() = default;

Result<Format> Format::text(std::string_view format) {
  auto segments = parse(format, "");
  if (!segments) return tl::unexpected(segments.error());
  mark_quotes(*segments);
  return Format(std::make_unique<Impl>(Impl{std::move(*segments)}));
}

Result<Format> Format::json(std::string_view json_template) {
  auto value = parse_json(json_template);
  if (!value) return pass(value.error(), "JSON log format");
  if (!value->is_object()) return fail(ErrorCode::usage, "JSON log format: it is no object; write {{\"name\": \"%OPERATOR%\"}}");
  JsonCompiler compiler;
  if (auto added = compiler.add(*value, ""); !added) return tl::unexpected(added.error());
  return Format(std::make_unique<Impl>(Impl{compiler.finish()}));
}

Result<Format> Format::header(std::string_view format) {
  auto segments = parse(format, "");
  if (!segments) return tl::unexpected(segments.error());
  for (Segment& segment : *segments) segment.style = Style::header;
  return Format(std::make_unique<Impl>(Impl{std::move(*segments)}));
}

void Format::append(std::string& out, const FormatInput& input, TimeCache& time) const {
  thread_local std::string reused;  // keeps its capacity: no allocation in the steady state
  Scratch scratch{.bytes = {}, .text = reused};
  for (const Segment& segment : impl_->segments) {
    out += segment.literal;
    if (!segment.has_op) continue;
    std::string_view value = value_of(segment.op, input, scratch, time).substr(0, segment.op.limit);
    if (!segment.op.blanks_as_underscores || value.find(' ') == std::string_view::npos) {
      write_value(out, segment, value);
      continue;
    }
    scratch.text.assign(value);
    for (char& c : scratch.text) c = c == ' ' ? '_' : c;
    write_value(out, segment, scratch.text);
  }
}

}  // namespace weir::proxy
