// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink.h"

#include <array>
#include <cstring>

#include <netinet/in.h>
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include "base/scope_exit.h"

namespace weir::kernel {

namespace {

/// One socket of one bus. Requests are numbered, and answers to older numbers are passed over.
class Bus {
 public:
  Bus() = default;
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;
  ~Bus() {
    if (socket_ != nullptr) mnl_socket_close(socket_);
  }

  Result<> open(int protocol) {
    if (socket_ != nullptr) return {};
    mnl_socket* socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
    if (socket == nullptr) return fail_errno(errno, "opening a netlink socket");
    ScopeExit close([&] { mnl_socket_close(socket); });
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) != 0) return fail_errno(errno, "binding a netlink socket");
    // A transaction is one message to the kernel, however many addresses it lists, and a refused one is answered with an error
    // for each of its messages. The last pair goes beyond the stock limits (net.core.wmem_max), which needs CAP_NET_ADMIN in the
    // initial user namespace.
    constexpr int kSize = 32 << 20;
    for (int name : {SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE})
      ::setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, name, &kSize, sizeof kSize);
    timeval limit{.tv_sec = 5, .tv_usec = 0};
    ::setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    close.release();
    socket_ = socket;
    return {};
  }

  std::uint32_t next_number() { return ++number_; }

  Result<> send(const std::string& bytes) {
    if (mnl_socket_sendto(socket_, bytes.data(), bytes.size()) >= 0) return {};
    if (errno != EMSGSIZE) return fail_errno(errno, "sending to the kernel by netlink");
    // Without an errno: nobody can say more about it than this.
    return fail(
        ErrorCode::environment,
        "the rules have {} bytes, more than this network namespace's user namespace may send at once: raise the node's sysctl "
        "net.core.wmem_max to {}, or list fewer addresses",
        bytes.size(), bytes.size());
  }

  /// Calls `each` for every message of one receive.
  template <class F>
  Result<> receive(F each) {
    ssize_t size = mnl_socket_recvfrom(socket_, buffer_.get(), kBufferSize);
    if (size < 0) {
      if (errno == EAGAIN) return fail(ErrorCode::io, "the kernel did not answer within 5 s by netlink");
      return fail_errno(errno, "receiving from the kernel by netlink");
    }
    int left = static_cast<int>(size);
    for (auto* header = reinterpret_cast<const nlmsghdr*>(buffer_.get()); mnl_nlmsg_ok(header, left);
         header = mnl_nlmsg_next(header, &left))
      each(*header);
    return {};
  }

 private:
  mnl_socket* socket_ = nullptr;
  std::uint32_t number_ = 0;
  static constexpr std::size_t kBufferSize = 65536;
  // Not cleared: only pages that are written to cost anything.
  std::unique_ptr<char[]> buffer_ = std::make_unique_for_overwrite<char[]>(kBufferSize);
};

nlmsghdr header_of(const NetlinkMessage& message) {
  nlmsghdr header;
  std::memcpy(&header, message.data(), sizeof header);
  return header;
}

NetlinkMessage stamped(const NetlinkMessage& message, std::uint32_t number, std::uint16_t more_flags) {
  NetlinkMessage copy = message;
  nlmsghdr header = header_of(copy);
  header.nlmsg_seq = number;
  header.nlmsg_flags |= NLM_F_REQUEST | more_flags;
  std::memcpy(copy.data(), &header, sizeof header);
  return copy;
}

int error_in(const nlmsghdr& header) {
  if (mnl_nlmsg_get_payload_len(&header) < sizeof(nlmsgerr)) return EBADMSG;
  return -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&header))->error;
}

NetlinkMessage batch_mark(std::uint16_t type, std::uint32_t number, std::optional<std::uint32_t> generation) {
  alignas(nlmsghdr) std::array<char, 64> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = type;
  header->nlmsg_flags = NLM_F_REQUEST;
  header->nlmsg_seq = number;
  auto* extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  extra->nfgen_family = AF_UNSPEC;
  extra->version = NFNETLINK_V0;
  extra->res_id = htons(NFNL_SUBSYS_NFTABLES);
  if (generation) mnl_attr_put_u32(header, NFNL_BATCH_GENID, htonl(*generation));
  return {buffer.data(), header->nlmsg_len};
}

class KernelNetlink : public Netlink {
 public:
  Result<> act(NetlinkBus which, const NetlinkMessage& request) override {
    auto answers = exchange(which, request, NLM_F_ACK);
    if (!answers) return pass(answers.error());
    return {};
  }

  Result<std::vector<NetlinkMessage>> ask(NetlinkBus which, const NetlinkMessage& request) override {
    // A dump ends with NLMSG_DONE; everything else with the acknowledgement.
    const bool dumps = (header_of(request).nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    return exchange(which, request, dumps ? 0 : NLM_F_ACK);
  }

  Result<std::optional<BatchRefusal>> transact(const std::vector<NetlinkMessage>& batch,
                                               std::optional<std::uint32_t> generation) override {
    auto bus = open(NetlinkBus::netfilter);
    if (!bus) return pass(bus.error());
    const std::uint32_t first = (*bus)->next_number();
    std::string bytes = batch_mark(NFNL_MSG_BATCH_BEGIN, first, generation);
    std::uint32_t number = first;
    // The kernel answers the begin only if it refuses all; so the last message is acknowledged to know the end.
    for (std::size_t i = 0; i < batch.size(); ++i) {
      number = (*bus)->next_number();
      bytes += stamped(batch[i], number, i + 1 == batch.size() ? NLM_F_ACK : 0);
    }
    const std::uint32_t last = number;
    bytes += batch_mark(NFNL_MSG_BATCH_END, (*bus)->next_number(), std::nullopt);
    if (auto sent = (*bus)->send(bytes); !sent) {
      if (sent.error().sys_errno() == EPERM) return BatchRefusal{batch.size(), EPERM};
      return pass(sent.error());
    }
    return verdict(**bus, first, last, batch.size());
  }

 private:
  Result<Bus*> open(NetlinkBus which) {
    Bus& bus = which == NetlinkBus::route ? route_ : netfilter_;
    auto opened = bus.open(which == NetlinkBus::route ? NETLINK_ROUTE : NETLINK_NETFILTER);
    if (!opened) return pass(opened.error());
    return &bus;
  }

  Result<std::vector<NetlinkMessage>> exchange(NetlinkBus which, const NetlinkMessage& request, std::uint16_t flags) {
    auto bus = open(which);
    if (!bus) return pass(bus.error());
    const std::uint32_t number = (*bus)->next_number();
    if (auto sent = (*bus)->send(stamped(request, number, flags)); !sent) return pass(sent.error());
    std::vector<NetlinkMessage> answers;
    std::optional<int> end;
    bool torn = false;
    while (!end) {
      auto received = (*bus)->receive([&](const nlmsghdr& header) {
        if (header.nlmsg_seq != number || end) return;
        torn |= (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (header.nlmsg_type == NLMSG_ERROR)
          end = error_in(header);
        else if (header.nlmsg_type == NLMSG_DONE)
          end = 0;
        else
          answers.emplace_back(reinterpret_cast<const char*>(&header), header.nlmsg_len);
      });
      if (!received) return pass(received.error());
    }
    if (*end == 0 && torn) end = EINTR;
    if (*end != 0) return fail_errno(*end, "the kernel refused");
    return answers;
  }

  /// Without CAP_NET_ADMIN the kernel blames the begin mark's number, so any number of the batch counts. The first error is the
  /// cause; after an error no acknowledgement of the last message is sure to come.
  static Result<std::optional<BatchRefusal>> verdict(Bus& bus, std::uint32_t first, std::uint32_t last, std::size_t size) {
    std::optional<BatchRefusal> refusal;
    bool done = false;
    while (!done) {
      auto received = bus.receive([&](const nlmsghdr& header) {
        if (header.nlmsg_type != NLMSG_ERROR || header.nlmsg_seq < first || header.nlmsg_seq > last + 1) return;
        const int error = error_in(header);
        done = true;
        if (error == 0 || refusal) return;
        const bool blames_all = header.nlmsg_seq == first || header.nlmsg_seq > last;
        refusal = BatchRefusal{blames_all ? size : header.nlmsg_seq - first - 1, error};
      });
      if (!received) return pass(received.error());
    }
    return refusal;
  }

  Bus route_, netfilter_;
};

}  // namespace

std::unique_ptr<Netlink> open_netlink() { return std::make_unique<KernelNetlink>(); }

}  // namespace weir::kernel
