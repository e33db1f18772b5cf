// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/nft_drain.h"

#include <algorithm>
#include <set>

#include <arpa/inet.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>

namespace weir::nft {

namespace {

/// In a rule the port is loaded, then the redirection takes it.
struct Reader {
  std::set<Port> ports;
  Port loaded = 0;
};

int read(nftnl_expr* e, void* data) {
  auto& reader = *static_cast<Reader*>(data);
  const std::string_view kind = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
  std::uint32_t size = 0;
  if (kind == "immediate" && nftnl_expr_is_set(e, NFTNL_EXPR_IMM_DATA)) {
    const auto* bytes = static_cast<const unsigned char*>(nftnl_expr_get(e, NFTNL_EXPR_IMM_DATA, &size));
    if (size >= 2) reader.loaded = static_cast<Port>(bytes[0] << 8 | bytes[1]);
  }
  if (kind == "redir" && reader.loaded != 0) reader.ports.insert(reader.loaded);
  return 0;
}

}  // namespace

std::vector<Port> redirect_ports(const Former& former) {
  Reader reader;
  for (const RuleObject& rule : former.rules) {
    reader.loaded = 0;
    nftnl_expr_foreach(rule.get(), read, &reader);
  }
  return {reader.ports.begin(), reader.ports.end()};
}

void add_drain(Batch& batch, const capture::Drain& drain, std::string_view owner) {
  using capture::Chain;
  add_table(batch, kTable, fmt::format("{}, {}", owner, capture::drain_mark(drain)));
  // A chain of type nat keeps NAT's hooks, a rule that looks at the state connection tracking's. It changes nothing: NAT leaves
  // alone what belongs to no connection.
  add_chain(batch, kTable, Chain::inbound);
  add_chain(batch, kTable, Chain::outbound);
  add_rules(batch, kTable,
            {Rule{.chain = Chain::inbound,
                  .family = std::nullopt,
                  .terms = {{Field::ct_invalid, false, {}}},
                  .action = {.kind = Action::Kind::accept},
                  .comment = "keeps connection tracking while captured connections go on"}});
}

}  // namespace weir::nft
