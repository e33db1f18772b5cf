// SPDX-License-Identifier: Apache-2.0
// Only in a static build: Debian has no libmnl.a, which libnftnl.a and this room call. Here are the functions that they call, as
// libmnl's header declares them; what they do to bytes is netlink's format (linux/netlink.h: lengths with their headers,
// four-byte alignment with zeroes between). The room's and iptables-rules' unit tests run with them too.
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <libmnl/libmnl.h>

struct mnl_socket {
  int fd;
  sockaddr_nl address;
};

struct mnl_nlmsg_batch {
  char* buffer;
  std::size_t limit, size;
  nlmsghdr* current;
  bool overflow;
};

namespace {

char* bytes_of(void* pointer) { return static_cast<char*>(pointer); }
const char* bytes_of(const void* pointer) { return static_cast<const char*>(pointer); }

template <class Value>
Value value_of(const nlattr* attr) {
  Value value;
  std::memcpy(&value, mnl_attr_get_payload(attr), sizeof value);
  return value;
}

/// Begins an attribute at the message's end, with `size` bytes of room that the message counts.
nlattr* add(nlmsghdr* header, std::uint16_t type, std::size_t size) {
  auto* attr = static_cast<nlattr*>(mnl_nlmsg_get_payload_tail(header));
  const std::size_t length = MNL_ATTR_HDRLEN + size;
  attr->nla_type = type;
  attr->nla_len = static_cast<std::uint16_t>(length);
  std::memset(bytes_of(attr) + length, 0, MNL_ALIGN(length) - length);
  header->nlmsg_len += static_cast<std::uint32_t>(MNL_ALIGN(length));
  return attr;
}

int parse(const nlattr* attr, const char* end, mnl_attr_cb_t call, void* data) {
  int result = MNL_CB_OK;
  while (mnl_attr_ok(attr, static_cast<int>(end - bytes_of(attr)))) {
    result = call(attr, data);
    if (result <= MNL_CB_STOP) break;
    attr = mnl_attr_next(attr);
  }
  return result;
}

/// What mnl_attr_validate() asks of a payload.
bool fits(const nlattr* attr, mnl_attr_data_type type, std::size_t want) {
  const std::size_t size = mnl_attr_get_payload_len(attr);
  if (size < want) return false;
  switch (type) {
    case MNL_TYPE_FLAG: return size == 0;
    case MNL_TYPE_NUL_STRING: return size > 0 && bytes_of(mnl_attr_get_payload(attr))[size - 1] == '\0';
    case MNL_TYPE_STRING: return size > 0;
    case MNL_TYPE_NESTED: return size == 0 || size >= MNL_ATTR_HDRLEN;
    case MNL_TYPE_U8:
    case MNL_TYPE_U16:
    case MNL_TYPE_U32:
    case MNL_TYPE_U64:
    case MNL_TYPE_MSECS: return size == want;
    default: return true;
  }
}

std::size_t size_of(mnl_attr_data_type type) {
  switch (type) {
    case MNL_TYPE_U8: return 1;
    case MNL_TYPE_U16: return 2;
    case MNL_TYPE_U32: return 4;
    case MNL_TYPE_U64:
    case MNL_TYPE_MSECS: return 8;
    default: return 0;
  }
}

}  // namespace

extern "C" {

// Messages

nlmsghdr* mnl_nlmsg_put_header(void* buffer) {
  auto* header = static_cast<nlmsghdr*>(buffer);
  std::memset(buffer, 0, MNL_NLMSG_HDRLEN);
  header->nlmsg_len = MNL_NLMSG_HDRLEN;
  return header;
}

void* mnl_nlmsg_put_extra_header(nlmsghdr* header, std::size_t size) {
  char* extra = bytes_of(header) + header->nlmsg_len;
  std::memset(extra, 0, MNL_ALIGN(size));
  header->nlmsg_len += static_cast<std::uint32_t>(MNL_ALIGN(size));
  return extra;
}

void* mnl_nlmsg_get_payload(const nlmsghdr* header) {
  return const_cast<char*>(bytes_of(header)) + MNL_NLMSG_HDRLEN;  // libmnl's signature
}
std::size_t mnl_nlmsg_get_payload_len(const nlmsghdr* header) { return header->nlmsg_len - MNL_NLMSG_HDRLEN; }
void* mnl_nlmsg_get_payload_offset(const nlmsghdr* header, std::size_t offset) {
  return bytes_of(mnl_nlmsg_get_payload(header)) + MNL_ALIGN(offset);
}
void* mnl_nlmsg_get_payload_tail(const nlmsghdr* header) {
  return const_cast<char*>(bytes_of(header)) + MNL_ALIGN(header->nlmsg_len);
}

bool mnl_nlmsg_ok(const nlmsghdr* header, int left) {
  return left >= static_cast<int>(sizeof(nlmsghdr)) && header->nlmsg_len >= sizeof(nlmsghdr) &&
         header->nlmsg_len <= static_cast<std::uint32_t>(left);
}
nlmsghdr* mnl_nlmsg_next(const nlmsghdr* header, int* left) {
  *left -= static_cast<int>(MNL_ALIGN(header->nlmsg_len));
  return static_cast<nlmsghdr*>(mnl_nlmsg_get_payload_tail(header));
}

int mnl_cb_run(const void* buffer, std::size_t size, unsigned int number, unsigned int port, mnl_cb_t call, void* data) {
  int left = static_cast<int>(size);
  for (auto* header = static_cast<const nlmsghdr*>(buffer); mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
    int error = 0;
    if (port != 0 && header->nlmsg_pid != 0 && header->nlmsg_pid != port) error = ESRCH;
    if (number != 0 && header->nlmsg_seq != 0 && header->nlmsg_seq != number) error = EPROTO;
    if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) error = EINTR;
    if (header->nlmsg_type == NLMSG_DONE && error == 0) return MNL_CB_STOP;
    if (header->nlmsg_type == NLMSG_ERROR && error == 0) {
      if (mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr)) {
        error = EBADMSG;
      } else {
        error = std::abs(static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header))->error);
        if (error == 0) return MNL_CB_STOP;
      }
    }
    if (error != 0) {
      errno = error;
      return MNL_CB_ERROR;
    }
    if (header->nlmsg_type < NLMSG_MIN_TYPE || call == nullptr) continue;
    if (const int result = call(header, data); result <= MNL_CB_STOP) return result;
  }
  return MNL_CB_OK;
}

// Attributes: reading

std::uint16_t mnl_attr_get_type(const nlattr* attr) { return attr->nla_type & NLA_TYPE_MASK; }
std::uint16_t mnl_attr_get_payload_len(const nlattr* attr) { return static_cast<std::uint16_t>(attr->nla_len - MNL_ATTR_HDRLEN); }
void* mnl_attr_get_payload(const nlattr* attr) { return const_cast<char*>(bytes_of(attr)) + MNL_ATTR_HDRLEN; }
bool mnl_attr_ok(const nlattr* attr, int left) {
  return left >= static_cast<int>(sizeof(nlattr)) && attr->nla_len >= sizeof(nlattr) && static_cast<int>(attr->nla_len) <= left;
}
nlattr* mnl_attr_next(const nlattr* attr) {
  return reinterpret_cast<nlattr*>(const_cast<char*>(bytes_of(attr)) + MNL_ALIGN(attr->nla_len));
}
int mnl_attr_type_valid(const nlattr* attr, std::uint16_t most) {
  if (mnl_attr_get_type(attr) <= most) return 1;
  errno = EOPNOTSUPP;
  return -1;
}
int mnl_attr_validate(const nlattr* attr, mnl_attr_data_type type) {
  if (fits(attr, type, size_of(type))) return 0;
  errno = ERANGE;
  return -1;
}
int mnl_attr_parse(const nlmsghdr* header, unsigned int offset, mnl_attr_cb_t call, void* data) {
  return parse(static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, offset)),
               bytes_of(mnl_nlmsg_get_payload_tail(header)), call, data);
}
int mnl_attr_parse_nested(const nlattr* nested, mnl_attr_cb_t call, void* data) {
  const char* payload = bytes_of(mnl_attr_get_payload(nested));
  return parse(reinterpret_cast<const nlattr*>(payload), payload + mnl_attr_get_payload_len(nested), call, data);
}
std::uint8_t mnl_attr_get_u8(const nlattr* attr) { return value_of<std::uint8_t>(attr); }
std::uint16_t mnl_attr_get_u16(const nlattr* attr) { return value_of<std::uint16_t>(attr); }
std::uint32_t mnl_attr_get_u32(const nlattr* attr) { return value_of<std::uint32_t>(attr); }
std::uint64_t mnl_attr_get_u64(const nlattr* attr) { return value_of<std::uint64_t>(attr); }
const char* mnl_attr_get_str(const nlattr* attr) { return bytes_of(mnl_attr_get_payload(attr)); }

// Attributes: writing

void mnl_attr_put(nlmsghdr* header, std::uint16_t type, std::size_t size, const void* data) {
  nlattr* attr = add(header, type, size);
  if (size != 0) std::memcpy(mnl_attr_get_payload(attr), data, size);
}
void mnl_attr_put_u8(nlmsghdr* header, std::uint16_t type, std::uint8_t value) {
  mnl_attr_put(header, type, sizeof value, &value);
}
void mnl_attr_put_u16(nlmsghdr* header, std::uint16_t type, std::uint16_t value) {
  mnl_attr_put(header, type, sizeof value, &value);
}
void mnl_attr_put_u32(nlmsghdr* header, std::uint16_t type, std::uint32_t value) {
  mnl_attr_put(header, type, sizeof value, &value);
}
void mnl_attr_put_u64(nlmsghdr* header, std::uint16_t type, std::uint64_t value) {
  mnl_attr_put(header, type, sizeof value, &value);
}
void mnl_attr_put_str(nlmsghdr* header, std::uint16_t type, const char* text) {
  mnl_attr_put(header, type, std::strlen(text), text);
}
void mnl_attr_put_strz(nlmsghdr* header, std::uint16_t type, const char* text) {
  mnl_attr_put(header, type, std::strlen(text) + 1, text);
}
nlattr* mnl_attr_nest_start(nlmsghdr* header, std::uint16_t type) {
  return add(header, static_cast<std::uint16_t>(NLA_F_NESTED | type), 0);
}
void mnl_attr_nest_end(nlmsghdr* header, nlattr* start) {
  start->nla_len = static_cast<std::uint16_t>(bytes_of(mnl_nlmsg_get_payload_tail(header)) - bytes_of(start));
}

// Batches of messages in one buffer. The message that goes beyond the limit is kept for the next one.

mnl_nlmsg_batch* mnl_nlmsg_batch_start(void* buffer, std::size_t limit) {
  auto* batch = static_cast<mnl_nlmsg_batch*>(std::malloc(sizeof(mnl_nlmsg_batch)));
  if (batch != nullptr) *batch = {bytes_of(buffer), limit, 0, static_cast<nlmsghdr*>(buffer), false};
  return batch;
}
void mnl_nlmsg_batch_stop(mnl_nlmsg_batch* batch) { std::free(batch); }
bool mnl_nlmsg_batch_next(mnl_nlmsg_batch* batch) {
  if (batch->size + batch->current->nlmsg_len > batch->limit) {
    batch->overflow = true;
    return false;
  }
  batch->size += batch->current->nlmsg_len;
  batch->current = reinterpret_cast<nlmsghdr*>(batch->buffer + batch->size);
  return true;
}
std::size_t mnl_nlmsg_batch_size(mnl_nlmsg_batch* batch) { return batch->size; }
void* mnl_nlmsg_batch_head(mnl_nlmsg_batch* batch) { return batch->buffer; }
void* mnl_nlmsg_batch_current(mnl_nlmsg_batch* batch) { return batch->current; }
bool mnl_nlmsg_batch_is_empty(mnl_nlmsg_batch* batch) { return batch->size == 0; }

// Sockets

mnl_socket* mnl_socket_open2(int bus, int flags) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | flags, bus);
  if (fd < 0) return nullptr;
  auto* made = static_cast<mnl_socket*>(std::calloc(1, sizeof(mnl_socket)));
  if (made == nullptr)
    ::close(fd);
  else
    made->fd = fd;
  return made;
}
mnl_socket* mnl_socket_open(int bus) { return mnl_socket_open2(bus, 0); }
int mnl_socket_bind(mnl_socket* self, unsigned int groups, pid_t pid) {
  self->address = {};
  self->address.nl_family = AF_NETLINK;
  self->address.nl_groups = groups;
  self->address.nl_pid = static_cast<std::uint32_t>(pid);
  socklen_t size = sizeof self->address;
  auto* address = reinterpret_cast<sockaddr*>(&self->address);
  if (::bind(self->fd, address, size) != 0) return -1;
  return ::getsockname(self->fd, address, &size);
}
int mnl_socket_get_fd(const mnl_socket* self) { return self->fd; }
unsigned int mnl_socket_get_portid(const mnl_socket* self) { return self->address.nl_pid; }
ssize_t mnl_socket_sendto(const mnl_socket* self, const void* bytes, std::size_t size) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  return ::sendto(self->fd, bytes, size, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
}
ssize_t mnl_socket_recvfrom(const mnl_socket* self, void* buffer, std::size_t size) {
  sockaddr_nl from{};
  iovec piece{buffer, size};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  const ssize_t received = ::recvmsg(self->fd, &message, 0);
  if (received < 0) return received;
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    errno = ENOSPC;
    return -1;
  }
  if (message.msg_namelen != sizeof from) {
    errno = EINVAL;
    return -1;
  }
  return received;
}
int mnl_socket_close(mnl_socket* self) {
  const int result = ::close(self->fd);
  std::free(self);
  return result;
}

}  // extern "C"
