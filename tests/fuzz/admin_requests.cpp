// SPDX-License-Identifier: Apache-2.0
// The admin interface: each request gets exactly one answer, what is JSON parses, and nothing is done for a GET, for a peer
// elsewhere or for a Host that is not this machine. Input: one byte (bit 0: peer elsewhere), then lines: METHOD TARGET, HOST.
#include "proxy/admin.h"

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir;
using namespace weir::proxy;
using namespace weir::fuzzing;

namespace {

struct Program {
  bool changed = false;
  std::shared_ptr<const Config> config = [] {
    auto made = std::make_shared<Config>();
    made->listeners = std::make_shared<const routing::ListenerTable>(std::vector<std::shared_ptr<const routing::Listener>>{});
    return made;
  }();
  Admin admin{hooks()};

  AdminHooks hooks() {
    AdminHooks hooks;
    hooks.state = [] { return ServerState::live; };
    hooks.dump = [](const DumpQuery& query) -> Result<std::string> {
      if (query.resource == "bad") return fail(ErrorCode::usage, "no such resource");
      return std::string("{}");
    };
    hooks.config = [this] { return config; };
    hooks.figures = [](auto answer) { answer({}); };
    hooks.samples = [] { return std::vector<Sample>{{Sample::Type::gauge, "server", "", "live", 1}}; };
    hooks.istio = [] { return IstioMetrics(); };
    hooks.server_info = [] { return std::string("{}"); };
    hooks.log_level = [] { return std::string("info"); };
    hooks.set_log_level = [this](std::string_view) -> Result<> {
      changed = true;
      return {};
    };
    hooks.drain = [this](bool, bool) { changed = true; };
    hooks.quit = [this] { changed = true; };
    return hooks;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view text = text_of(data + 1, size - 1);
  bool is_elsewhere = (data[0] & 1) != 0;
  std::size_t line = std::min(text.find('\n'), text.size());
  std::string_view first = text.substr(0, line), host = text.substr(std::min(text.size(), line + 1));
  std::size_t space = std::min(first.find(' '), first.size());
  HttpRequest request;
  request.method = first.substr(0, space);
  request.host = to_lower(host);
  request.peer = *SocketAddr::parse(is_elsewhere ? "10.0.0.9:1" : "127.0.0.1:1");
  parse_target(first.substr(std::min(first.size(), space + 1)), request);

  Program program;
  int answers = 0;
  HttpResponse response;
  program.admin.handle(request, [&](HttpResponse given) {
    response = std::move(given);
    ++answers;
  });
  require_same("answers", std::to_string(answers), "1");
  if (response.status < 200 || response.status > 599) require_same("status", std::to_string(response.status), "200 to 599");
  bool is_ours = request.host.empty() || is_loopback_host(request.host);  // none: HTTP/1.0, which no browser speaks
  bool may_change = request.method == "POST" && !is_elsewhere && is_ours;
  if (program.changed && !may_change) require_same("something", "done", "not done");
  if (response.status == 200 && response.content_type == kJsonType && request.method != "HEAD" && !parse_json(response.body))
    require_same("JSON", response.body, "valid");
  return 0;
}
