// SPDX-License-Identifier: Apache-2.0
// Internal to the room.
#pragma once

#include <string>

#include "routing/compile_context.h"
#include "routing/field_audit.h"

namespace weir::routing {

/// Unpacks and audits an Any; an error if it does not parse.
template <class Message>
Message unpack(const google::protobuf::Any& any, const std::string& path, CompileContext& context) {
  Message message;
  if (!any.UnpackTo(&message)) {
    context.error(path, "the bytes are no " + Message::descriptor()->full_name());
    return {};
  }
  audit_fields(message, path, context);
  return message;
}

}  // namespace weir::routing
