// SPDX-License-Identifier: Apache-2.0
// A resource from the wire: what is unknown in it, how it prints, how it is stored. Input: one byte for the type, then the bytes.
#include <google/protobuf/message.h>

#include "base/json.h"
#include "xds/messages.h"
#include "xds/resource_store.h"

#include <boost/json.hpp>

#include "tests/fuzz/fuzzing.h"

using namespace weir;
using namespace weir::xds;
using namespace weir::fuzzing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view bytes = text_of(data + 1, size - 1);
  (void)decode(bytes);
  ResourceType type = kResourceTypes[data[0] % kTypeCount];
  auto message = new_message(type);
  if (!message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return 0;
  if (unknown_fields(*message, 8).size() > 8) std::abort();
  std::string json = to_json(*message);
  if (auto parsed = parse_json(json); !parsed && parsed.error().to_text().find("depth") == std::string::npos &&
                                      parsed.error().to_text().find("deep") == std::string::npos) {
    require_same("JSON", json, parsed.error().to_text());
  }
  ResourcePtr resource = make_resource(type, *message);
  auto again = new_message(type);
  if (!again->ParseFromString(resource->body)) std::abort();
  require_same("stable bytes", resource->body, make_resource(type, *again)->body);
  StoredSet set;
  set.types[index(type)].push_back({resource, "v"});
  auto back = decode(encode(set));
  if (!back) std::abort();
  require_same("stored bytes", resource->body, back->types[index(type)].at(0).resource->body);
  return 0;
}
