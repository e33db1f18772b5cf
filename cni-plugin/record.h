// SPDX-License-Identifier: Apache-2.0
// What the node remembers of an attachment: a file each in the state directory. As values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cni-plugin/decision.h"

namespace weir::cni {

struct Record {
  std::string network;
  Attachment attachment;
  std::string netns;
  Pod pod;
  std::string skipped;  ///< the reason's name; "": enrolled
  PolicyInput input;    ///< if enrolled
  std::string trace;
  bool is_enrolled() const { return skipped.empty(); }
  friend bool operator==(const Record&, const Record&) = default;
};

std::string to_json(const Record& record);
/// The error (usage) says why it is none of ours.
Result<Record> parse_record(std::string_view text);

/// "CONTAINER,INTERFACE,NETWORK.json"; bytes that are not [A-Za-z0-9._-] as %XX, and a checksum in place of a tail that is too
/// long for a file's name.
std::string record_file(std::string_view network, const Attachment& attachment);
/// Whether the record in `file` is of this network, by the file's name; nullopt: the name is shortened, only the content tells.
std::optional<bool> is_of_network(std::string_view file, std::string_view network);
/// What the names of all records of a container begin with.
std::string record_prefix(std::string_view container);

}  // namespace weir::cni
