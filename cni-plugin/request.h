// SPDX-License-Identifier: Apache-2.0
// What a runtime asks: environment and standard input, read as values.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/problem.h"
#include "cni-plugin/net_config.h"
#include "cni-plugin/spec.h"

namespace weir::cni {

/// Of CNI_ARGS; "" where the runtime does not say.
struct Pod {
  std::string name, name_space, uid;
  friend bool operator==(const Pod&, const Pod&) = default;
};

/// One interface of one container.
struct Attachment {
  std::string container, interface;
  friend auto operator<=>(const Attachment&, const Attachment&) = default;
};

struct Request {
  Verb verb = Verb::version;
  std::string version{kNewestVersion};  ///< of the configuration: what is answered in
  std::string network;
  Attachment attachment;
  std::string netns;              ///< path; DEL: may be ""
  bool may_be_own_netns = false;  ///< CNI_NETNS_OVERRIDE
  Pod pod;
  NetConfig config;
  /// What is wrong with our own fields where that is no reason to fail (CHECK, DEL, GC), and warnings.
  std::vector<Problem> remarks;
  std::optional<Texts> annotations;        ///< nullopt: the runtime hands over none
  std::optional<std::string> prev_result;  ///< JSON, as it was written
  std::vector<Attachment> valid;           ///< GC
  std::string trace;                       ///< trace id of TRACEPARENT (W3C), 32 hexadecimal digits; "": none
};

/// A request that cannot be served, with as much of it as was understood: for the log.
struct Refused {
  Request request;
  Failure failure;
};

/// Reads what the operation needs, all mistakes at once; the code is that of the first kind in the order environment (4), text
/// (6), version (1), configuration (7). Pure.
tl::expected<Request, Refused> parse_request(const std::map<std::string, std::string>& environment, std::string_view input);

/// `containerID` and network names: a letter or digit, then letters, digits, '_', '.', '-'.
bool is_cni_name(std::string_view text);
/// Of at most 15 bytes, not "." or "..", without '/', ':' and blanks.
bool is_interface_name(std::string_view text);

/// The trace id of a traceparent header (W3C Trace Context 3.2); "" if it is none.
std::string trace_id(std::string_view traceparent);

}  // namespace weir::cni
