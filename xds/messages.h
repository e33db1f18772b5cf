// SPDX-License-Identifier: Apache-2.0
// What one can ask of any message: what an Any holds, which fields we do not know, how it looks as JSON.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace google::protobuf {
class Any;
class Message;
}  // namespace google::protobuf

namespace weir::xds {

/// "envoy.extensions.filters.http.router.v3.Router" of "type.googleapis.com/envoy…".
std::string_view any_type(const google::protobuf::Any& any);
/// An empty message of that full name, if it is one of ours or a well-known type; null otherwise.
std::unique_ptr<google::protobuf::Message> new_message_of(std::string_view full_name);
/// Errors (protocol): the type is unknown (the text names it), or the bytes are not such a message.
Result<std::unique_ptr<google::protobuf::Message>> unpack_any(const google::protobuf::Any& any);
/// The same for one expected type. Any of another type is an error that names both.
Result<> unpack_any(const google::protobuf::Any& any, google::protobuf::Message& into);

/// A field that came over the wire and that our subset does not have.
struct UnknownField {
  std::string path;     ///< of the message that carries it: "virtual_hosts[2].routes[0].route"
  std::string message;  ///< its full type name
  int number = 0;
  std::string name;  ///< if it is a field of the v3 API that we left out on purpose; else ""
  /// "virtual_hosts[2].rate_limits (field 6 of envoy.config.route.v3.VirtualHost)"
  std::string to_text() const;
};
/// Walks the message, also into each Any of a known type (a path then goes on as "typed_config<Router>"). At most `limit`.
std::vector<UnknownField> unknown_fields(const google::protobuf::Message& message, std::size_t limit = 64);

/// JSON as Envoy's admin interface prints it: field names as in the .proto, defaults left out, 64-bit numbers as strings,
/// {"@type": …, …} for an Any; an Any of unknown type or with damaged bytes is {"@type": …, "value": base64} and never makes
/// it fail. Two-space indentation, a newline at the end.
std::string to_json(const google::protobuf::Message& message);
/// The reverse, for files that a person wrote: the error (usage) names the place; fields that we do not know are errors.
Result<> from_json(std::string_view json, google::protobuf::Message& into);

}  // namespace weir::xds
