// SPDX-License-Identifier: Apache-2.0
// Invariant 9 for xDS: every field that is set is acted on, known to have no effect here, reported, or refused. One table says
// which; what the table does not name is reported. Internal to the room.
#pragma once

#include <string>

namespace google::protobuf {
class Message;
}

namespace weir::routing {

class CompileContext;

/// Walks all set fields of `message` (not into `Any`s: whoever unpacks one audits it) and reports to `context`. `path` is where
/// the message stands, "" for the resource itself.
void audit_fields(const google::protobuf::Message& message, const std::string& path, CompileContext& context);

}  // namespace weir::routing
