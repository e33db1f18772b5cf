// SPDX-License-Identifier: Apache-2.0
// For tests: a kernel that remembers addresses and transactions, and fails where it is told to.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include "kernel/netlink.h"

namespace weir::nft {

/// What outlives the Netlink that a backend owns.
struct FakeKernel {
  std::vector<std::string> calls;  ///< "ask route", "act route", "ask netfilter", "transact 12"
  std::size_t fail_at = 0;         ///< this call (from 1) fails; 0: none
  int fail_with = ENOMEM;
  std::size_t refuse_message = 0;      ///< this message (from 1) of a batch is refused
  bool refuses_all = false;            ///< every netfilter request fails with fail_with: no privilege, no nf_tables
  std::vector<std::string> addresses;  ///< RTM_NEWADDR messages
  std::size_t committed = 0;           ///< messages of transactions that were done
};

class FakeNetlink : public kernel::Netlink {
 public:
  explicit FakeNetlink(std::shared_ptr<FakeKernel> kernel) : kernel_(std::move(kernel)) {}

  Result<> act(kernel::NetlinkBus, const kernel::NetlinkMessage& request) override {
    if (auto failed = call("act route")) return pass(*failed);
    nlmsghdr header;
    std::memcpy(&header, request.data(), sizeof header);
    if (header.nlmsg_type == RTM_NEWADDR || header.nlmsg_type == RTM_DELADDR) kernel_->addresses.clear();
    if (header.nlmsg_type == RTM_NEWADDR) kernel_->addresses.push_back(request);
    return {};
  }
  Result<std::vector<kernel::NetlinkMessage>> ask(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override {
    const bool is_route = bus == kernel::NetlinkBus::route;
    if (auto failed = call(is_route ? "ask route" : "ask netfilter")) return pass(*failed);
    if (is_route) return kernel_->addresses;
    if (kernel_->refuses_all) return pass(Error(ErrorCode::io, "the kernel refused", kernel_->fail_with));
    nlmsghdr header;
    std::memcpy(&header, request.data(), sizeof header);
    if ((header.nlmsg_type & 0xff) == NFT_MSG_GETGEN) return std::vector{generation()};
    return std::vector<kernel::NetlinkMessage>{};
  }
  /// What ends with the deletion of a table leaves nothing: a probe.
  Result<std::optional<kernel::BatchRefusal>> transact(const std::vector<kernel::NetlinkMessage>& batch,
                                                       std::optional<std::uint32_t>) override {
    if (auto failed = call("transact " + std::to_string(batch.size()))) return pass(*failed);
    if (kernel_->refuses_all) return kernel::BatchRefusal{batch.size(), kernel_->fail_with};
    if (kernel_->refuse_message != 0 && kernel_->refuse_message <= batch.size())
      return kernel::BatchRefusal{kernel_->refuse_message - 1, kernel_->fail_with};
    nlmsghdr last;
    std::memcpy(&last, batch.back().data(), sizeof last);
    if ((last.nlmsg_type & 0xff) == NFT_MSG_DELTABLE) return std::nullopt;
    kernel_->committed += batch.size();
    return std::nullopt;
  }

 private:
  std::optional<Error> call(std::string name) {
    kernel_->calls.push_back(std::move(name));
    if (kernel_->calls.size() != kernel_->fail_at) return std::nullopt;
    return Error(ErrorCode::io, "the fake kernel was told to fail", kernel_->fail_with);
  }
  static kernel::NetlinkMessage generation() {
    struct {
      nlmsghdr header;
      nfgenmsg family;
      nlattr attribute;
      std::uint32_t id;
    } message{};
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN;
    message.attribute = {.nla_len = sizeof(nlattr) + sizeof message.id, .nla_type = NFTA_GEN_ID};
    message.id = htonl(7);
    return {reinterpret_cast<const char*>(&message), sizeof message};
  }

  std::shared_ptr<FakeKernel> kernel_;
};

}  // namespace weir::nft
