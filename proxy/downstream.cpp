// SPDX-License-Identifier: Apache-2.0
#include "proxy/downstream.h"

namespace weir::proxy {

bool Downstream::refresh() {
  if (snapshot.get() == context.snapshot.get()) return true;
  const routing::Listener* bound = context.snapshot->config->listeners->by_name(bound_name);
  if (bound == nullptr) return false;
  const routing::Listener* former = listener;
  listener = &context.snapshot->config->listeners->for_destination(*bound, original);
  const routing::FilterChain* found = match();
  if (found == nullptr || found->manager.index() != chain->manager.index()) {
    listener = former;
    return false;
  }
  chain = found;
  snapshot = context.snapshot;
  return true;
}

}  // namespace weir::proxy
