// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstddef>
#include <new>

#include "base/log.h"
#include "io/executor_impl.h"

namespace weir::io {

namespace asio = boost::asio;

/// Lives until the Watch let go of it and Asio has given back every operation: so nothing comes after reset(), and the memory of
/// the operations may be part of it.
struct Watch::State {
  State(Executor::Impl& executor, FdRef fd, ReadyHandler& handler_)
      : impl(executor), handler(&handler_), descriptor(executor.context.get_executor()) {
    boost::system::error_code failed;
    descriptor.assign(fd.get(), failed);
    if (failed) log::error("cannot watch descriptor {}: {}", fd.get(), failed.message());
  }

  /// Room for one operation, so that waiting allocates nothing.
  struct Slot {
    alignas(std::max_align_t) std::array<std::byte, 256> memory;
    bool taken = false;  // the memory is in use
    bool armed = false;
  };

  static constexpr int kReadsUntilForgotten = 4;
  void forget_writing();
  void arm(Slot& slot, asio::posix::descriptor_base::wait_type what);
  void finished(Slot& slot, bool fired);
  void detach(const std::shared_ptr<State>& holder) {
    handler = nullptr;
    if (read.armed || write.armed) self = holder;
  }

  Executor::Impl& impl;
  ReadyHandler* handler;
  Descriptor descriptor;
  Slot read, write;
  bool write_registered = false;  // with the kernel: it stays so, and every wait for reading tells of writing too
  int reads_since_write = 0;
  std::shared_ptr<State> self;  // set by reset() while operations are still out
};

namespace {

template <class T, class Slot>
struct SlotAllocator {
  using value_type = T;
  explicit SlotAllocator(Slot& slot_) : slot(&slot_) {}
  template <class U>
  SlotAllocator(const SlotAllocator<U, Slot>& other) : slot(other.slot) {}
  T* allocate(std::size_t n) {
    std::size_t size = n * sizeof(T);
    if (slot->taken || size > slot->memory.size()) return static_cast<T*>(::operator new(size));
    slot->taken = true;
    return reinterpret_cast<T*>(slot->memory.data());
  }
  void deallocate(T* memory, std::size_t) {
    if (reinterpret_cast<std::byte*>(memory) == slot->memory.data())
      slot->taken = false;
    else
      ::operator delete(memory);
  }
  template <class U>
  bool operator==(const SlotAllocator<U, Slot>& other) const {
    return slot == other.slot;
  }
  Slot* slot;
};

/// Asio may destroy a handler without calling it (when the executor goes): that counts as finished too.
template <class State, class Slot>
class OnReady {
 public:
  using allocator_type = SlotAllocator<void*, Slot>;
  OnReady(State& state, Slot& slot) : state_(&state), slot_(&slot) {}
  OnReady(OnReady&& other) noexcept : state_(std::exchange(other.state_, nullptr)), slot_(other.slot_) {}
  OnReady& operator=(OnReady&&) = delete;
  ~OnReady() {
    if (state_ != nullptr) state_->finished(*slot_, false);
  }
  void operator()(const boost::system::error_code& error) {
    std::exchange(state_, nullptr)->finished(*slot_, error != asio::error::operation_aborted);
  }
  allocator_type get_allocator() const { return allocator_type(*slot_); }

 private:
  State* state_;
  Slot* slot_;
};

}  // namespace

/// Asio keeps asking for writability once it was wanted; each later wait for reading then wakes us for nothing.
void Watch::State::forget_writing() {
  int fd = descriptor.release();
  boost::system::error_code failed;
  descriptor.assign(fd, failed);
  if (failed) log::error("cannot watch descriptor {}: {}", fd, failed.message());
  write_registered = false;
}

void Watch::State::arm(Slot& slot, asio::posix::descriptor_base::wait_type what) {
  if (slot.armed) return;
  slot.armed = true;
  if (&slot == &write) {
    write_registered = true;
    reads_since_write = 0;
  } else if (write_registered && !write.armed && ++reads_since_write >= kReadsUntilForgotten) {
    forget_writing();
  }
  descriptor.async_wait(what, OnReady<State, Slot>(*this, slot));
}

void Watch::State::finished(Slot& slot, bool fired) {
  slot.armed = false;
  if (handler == nullptr) {
    // The Watch has gone. The slot's memory was given back before the handler was called, so this may be the end.
    if (!read.armed && !write.armed) self.reset();
    return;
  }
  if (!fired) return;
  impl.begin_event();
  if (&slot == &read)
    handler->on_readable();
  else
    handler->on_writable();
}

Watch::Watch(Executor& executor, FdRef fd, ReadyHandler& handler)
    : state_(std::make_shared<State>(*executor.impl_, fd, handler)) {}
Watch::Watch(Watch&&) noexcept = default;

Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    reset();
    state_ = std::move(other.state_);
  }
  return *this;
}

Watch::~Watch() { reset(); }

void Watch::want_read() {
  if (state_) state_->arm(state_->read, asio::posix::descriptor_base::wait_read);
}
void Watch::want_write() {
  if (state_) state_->arm(state_->write, asio::posix::descriptor_base::wait_write);
}

void Watch::close(UniqueFd fd) {
  if (!state_ || !state_->descriptor.is_open()) {
    reset();
    return;
  }
  state_->detach(state_);
  boost::system::error_code ignored;
  state_->descriptor.close(ignored);
  (void)fd.release();
  state_.reset();
}

void Watch::reset() {
  if (!state_) return;
  State& state = *state_;
  state.detach(state_);
  // Takes it out of the reactor and cancels what is out; the descriptor itself stays open, it is not ours.
  if (state.descriptor.is_open()) (void)state.descriptor.release();
  state_.reset();
}

}  // namespace weir::io
