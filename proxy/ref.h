// SPDX-License-Identifier: Apache-2.0
// Shared ownership within one thread: a count without atomics.
#pragma once

#include <cstdint>
#include <utility>

namespace weir::proxy {

/// Base of what Ref holds. Only ever touched by the worker that made it.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

 protected:
  ~RefCounted() = default;

 private:
  template <class T>
  friend class Ref;
  std::uint32_t refs_ = 0;
};

template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) ++object_->RefCounted::refs_;
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { reset(); }
  void reset() {
    T* object = std::exchange(object_, nullptr);
    if (object != nullptr && --object->RefCounted::refs_ == 0) delete object;
  }
  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

}  // namespace weir::proxy
