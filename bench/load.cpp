// SPDX-License-Identifier: Apache-2.0
// The client in front of every candidate: one thread, closed loop or (--rate) open loop, every answer checked. Prints one line of
// JSON; ends at the first wrong answer with exit code 1, because such a run says nothing.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <dirent.h>
#include <memory>
#include <string>
#include <sys/prctl.h>
#include <vector>

#include "bench/answer.h"
#include "bench/poller.h"
#include "kernel/socket.h"

namespace weir::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

struct Options {
  bool is_http = true;
  SocketAddr target;
  std::string host = "bench";
  std::size_t connections = 32, requests = 10000, warm = 0, bytes = 64;
  std::size_t rate = 0;    ///< requests a second; 0: as fast as answers come
  std::size_t limit = 30;  ///< seconds, then the run is void
  std::size_t cpu_of = 0;  ///< process whose CPU time is counted; 0: none
  std::size_t close = 0;   ///< 1: a connection a request
};

/// CPU time of all threads of a process, from schedstat (nanoseconds, no clock ticks).
std::uint64_t cpu_time(std::size_t pid) {
  if (pid == 0) return 0;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task/";
  std::uint64_t sum = 0;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(tasks.c_str()), closedir);
  while (const dirent* entry = dir ? readdir(dir.get()) : nullptr) {
    if (entry->d_name[0] == '.') continue;
    std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen((tasks + entry->d_name + "/schedstat").c_str(), "r"), std::fclose);
    unsigned long long spent = 0;
    if (file && std::fscanf(file.get(), "%llu", &spent) == 1) sum += spent;
  }
  return sum;
}

struct Connection {
  UniqueFd fd;
  std::string message;  ///< TCP: what was or is to be sent
  Answer answer;
  Clock::time_point due;
  bool connecting = false, busy = false, awaits_end = false;
};

class Load {
 public:
  explicit Load(Options options) : options_(std::move(options)), slots_(options_.connections) {
    total_ = options_.warm + options_.requests;
    took_.reserve(total_);
    if (options_.is_http)
      request_ = "GET /" + std::to_string(options_.bytes) + " HTTP/1.1\r\nHost: " + options_.host +
                 "\r\nUser-Agent: weir-bench\r\n" + (options_.close ? "Connection: close\r\n\r\n" : "\r\n");
  }

  int run() {
    start_ = Clock::now();
    if (options_.warm == 0) begin_measuring();
    for (Connection& slot : slots_) options_.rate == 0 ? next(slot) : idle_.push_back(&slot);
    while (done_ < total_ && why_.empty()) {
      if (options_.rate != 0) send_what_is_due();
      for (const epoll_event& event : poller_.wait(time_to_next())) {
        turn(*static_cast<Connection*>(event.data.ptr));
        if (!why_.empty() || done_ >= total_) break;
      }
      if (Clock::now() - start_ > std::chrono::seconds(options_.limit))
        fail("not done after " + std::to_string(options_.limit) + " s: " + std::to_string(done_) + " of " +
             std::to_string(total_) + " answers");
    }
    return report();
  }

 private:
  Clock::time_point due(std::size_t index) const { return start_ + nanoseconds(1'000'000'000 * index / options_.rate); }

  nanoseconds time_to_next() const {
    constexpr nanoseconds kTick = std::chrono::milliseconds(100);
    if (options_.rate == 0 || sent_ >= total_ || idle_.empty()) return kTick;
    return std::clamp<nanoseconds>(due(sent_) - Clock::now(), nanoseconds(0), kTick);
  }

  void send_what_is_due() {
    while (sent_ < total_ && !idle_.empty() && due(sent_) <= Clock::now()) {
      Connection* slot = idle_.front();
      idle_.pop_front();
      next(*slot);
    }
  }

  /// The next request goes out on this slot, over a new connection where there is none.
  void next(Connection& slot) {
    if (sent_ >= total_) return;
    slot.due = options_.rate == 0 ? Clock::now() : due(sent_);
    const std::size_t index = sent_++;
    slot.busy = true;
    if (options_.is_http) {
      slot.answer.expect_http(options_.bytes);
    } else {
      char text[kTcpMessage + 1];
      std::snprintf(text, sizeof text, "%08zu %054zu", options_.bytes, index);
      text[kTcpMessage - 1] = '\n';
      slot.message.assign(text, kTcpMessage);
      slot.answer.expect_tcp(slot.message, options_.bytes);
    }
    if (slot.fd) return write(slot);
    auto fd = kernel::connect_tcp(options_.target);
    if (!fd) return fail(fd.error().to_text());
    slot.fd = std::move(*fd);
    (void)kernel::set_nodelay(slot.fd.ref());
    slot.connecting = true;
    poller_.add(slot.fd.ref(), EPOLLOUT, &slot);
  }

  void write(Connection& slot) {
    const std::string& bytes = options_.is_http ? request_ : slot.message;
    const auto sent = kernel::send(slot.fd.ref(), bytes);
    if (sent.bytes != bytes.size()) fail("the request could not be sent: " + errno_text(sent.error));
  }

  void turn(Connection& slot) {
    if (slot.connecting) {
      if (const int error = kernel::connect_error(slot.fd.ref()); error != 0) return fail("connecting: " + errno_text(error));
      slot.connecting = false;
      poller_.change(slot.fd.ref(), EPOLLIN, &slot);
      return write(slot);
    }
    read(slot);
  }

  void read(Connection& slot) {
    const auto got = kernel::receive(slot.fd.ref(), buffer_);
    if (got.would_block) return;
    if (got.error != 0) return fail("reading the answer: " + errno_text(got.error));
    if (got.eof && slot.awaits_end) return finish(slot, true);
    if (got.eof) return fail("the connection ended after " + std::to_string(slot.answer.bytes()) + " bytes of the answer");
    if (!slot.busy || slot.awaits_end) return fail("bytes after the answer");
    switch (slot.answer.take({buffer_.data(), got.bytes})) {
      case Answer::State::partial: return;
      case Answer::State::wrong: return fail(slot.answer.why());
      case Answer::State::whole: break;
    }
    // HTTP said that the server ends the connection; with TCP it is ours to end.
    if (options_.close && options_.is_http) {
      slot.awaits_end = true;
    } else {
      finish(slot, options_.close != 0);
    }
  }

  void finish(Connection& slot, bool close) {
    took_.push_back(static_cast<std::uint64_t>(nanoseconds(Clock::now() - slot.due).count()));
    slot.busy = slot.awaits_end = false;
    if (close) slot.fd.reset();
    ++done_;
    if (done_ == options_.warm) begin_measuring();
    options_.rate == 0 ? next(slot) : idle_.push_back(&slot);
  }

  void begin_measuring() {
    measured_from_ = Clock::now();
    cpu_before_ = cpu_time(options_.cpu_of);
  }

  void fail(std::string why) {
    if (why_.empty()) why_ = std::move(why);
  }

  int report() {
    const std::uint64_t cpu = cpu_time(options_.cpu_of) - cpu_before_;
    const double seconds = std::chrono::duration<double>(Clock::now() - measured_from_).count();
    if (!why_.empty()) {
      for (char& c : why_)
        if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < ' ') c = '\'';
      std::printf("{\"void\": \"%s\"}\n", why_.c_str());
      return 1;
    }
    took_.erase(took_.begin(), took_.begin() + static_cast<std::ptrdiff_t>(options_.warm));
    std::sort(took_.begin(), took_.end());
    const auto quantile = [&](double q) {
      return static_cast<double>(took_[static_cast<std::size_t>(q * static_cast<double>(took_.size() - 1))]) / 1e3;
    };
    const double count = static_cast<double>(options_.requests);
    std::printf("{\"requests\": %zu, \"per_second\": %.0f, \"cpu_us\": %.2f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
                options_.requests, count / seconds, static_cast<double>(cpu) / 1e3 / count, quantile(0.5), quantile(0.99));
    return 0;
  }

  Options options_;
  std::vector<Connection> slots_;
  std::deque<Connection*> idle_;
  Poller poller_;
  std::string request_, why_;
  std::size_t total_ = 0, sent_ = 0, done_ = 0;
  Clock::time_point start_, measured_from_;
  std::uint64_t cpu_before_ = 0;
  std::vector<std::uint64_t> took_;  ///< nanoseconds, in the order of the answers
  std::array<char, 262144> buffer_;
};

constexpr const char* kUsage =
    "usage: load http|tcp IP:PORT [--connections N] [--requests N] [--warm N] [--bytes N] [--close 1] [--rate N]\n"
    "            [--limit SECONDS] [--cpu-of PID] [--host NAME]\n";

bool parse(int argc, char** argv, Options& options) {
  if (argc < 3 || argc % 2 == 0) return false;
  options.is_http = std::strcmp(argv[1], "http") == 0;
  options.target = must(SocketAddr::parse(argv[2]));
  const struct {
    const char* name;
    std::size_t& value;
  } numbers[] = {{"--connections", options.connections},
                 {"--requests", options.requests},
                 {"--warm", options.warm},
                 {"--bytes", options.bytes},
                 {"--close", options.close},
                 {"--rate", options.rate},
                 {"--limit", options.limit},
                 {"--cpu-of", options.cpu_of}};
  for (int i = 3; i < argc; i += 2) {
    if (std::strcmp(argv[i], "--host") == 0) {
      options.host = argv[i + 1];
      continue;
    }
    const auto* flag =
        std::find_if(std::begin(numbers), std::end(numbers), [&](const auto& n) { return std::strcmp(n.name, argv[i]) == 0; });
    const char* end = argv[i + 1] + std::strlen(argv[i + 1]);
    if (flag == std::end(numbers) || std::from_chars(argv[i + 1], end, flag->value).ptr != end) return false;
  }
  return options.requests > 0 && options.connections > 0 && (options.is_http || options.bytes >= kTcpMessage);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  weir::bench::Options options;
  if (!weir::bench::parse(argc, argv, options)) {
    std::fputs(weir::bench::kUsage, stderr);
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1UL);  // a due time is meant
  return std::make_unique<weir::bench::Load>(std::move(options))->run();
}
