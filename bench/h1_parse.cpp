// SPDX-License-Identifier: Apache-2.0
// What a proxy spends on HTTP/1 heads: parse, drop hop-by-hop fields, write. Prints nanoseconds a message; the median of the
// rounds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "http/h1.h"

using namespace weir::http;

namespace {

constexpr int kRounds = 15;
constexpr int kMessages = 200'000;

const std::string kSmall = "GET / HTTP/1.1\r\nHost: reviews:9080\r\n\r\n";
const std::string kCurl = "GET /reviews/0?x=1 HTTP/1.1\r\nHost: reviews:9080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";
const std::string kBrowser =
    "GET /productpage?u=normal HTTP/1.1\r\nHost: productpage.example.com\r\nConnection: keep-alive\r\nCache-Control: "
    "max-age=0\r\n"
    "Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36\r\nAccept: "
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Referer: http://productpage.example.com/\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=eyJ1c2VyIjoiamFzb24ifQ.Zx1yQw.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ; theme=dark; "
    "_ga=GA1.1.1234567890.1234567890\r\nx-request-id: 5a1c2a2e-2c5a-4b5e-9d1f-3c8a0c5d7e11\r\n\r\n";
const std::string kResponse =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 64\r\ndate: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
    "server: app\r\nx-powered-by: Servlet\r\n\r\n";

template <class Work>
void measure(const char* what, const std::string& message, Work work) {
  std::vector<double> rounds;
  std::size_t checked = 0;
  for (int round = 0; round < kRounds; ++round) {
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kMessages; ++i) checked += work(message);
    std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    rounds.push_back(spent.count() / kMessages);
  }
  std::sort(rounds.begin(), rounds.end());
  std::printf("%-34s %4zu B  %7.1f ns  (%.1f to %.1f)%s\n", what, message.size(), rounds[kRounds / 2], rounds.front(),
              rounds.back(), checked == 0 ? "  NOTHING PARSED" : "");
}

}  // namespace

int main() {
  Limits limits;
  RequestHead request;
  ResponseHead response;
  std::string out;
  auto parse = [&](const std::string& message) {
    std::size_t resume = 0;
    return parse_request_head(message, limits, resume, request).consumed;
  };
  auto forward = [&](const std::string& message) {
    std::size_t consumed = parse(message);
    remove_hop_by_hop(request.headers, false);
    out.clear();
    write_request_head(out, request.method, request.path, request.version, request.headers);
    return consumed;
  };
  auto parse_response = [&](const std::string& message) {
    std::size_t resume = 0;
    return parse_response_head(message, "GET", limits, resume, response).consumed;
  };
  auto forward_response = [&](const std::string& message) {
    std::size_t consumed = parse_response(message);
    remove_hop_by_hop(response.headers, false);
    out.clear();
    write_response_head(out, response.status, response.reason, response.version, response.headers);
    return consumed;
  };
  measure("request, smallest: parse", kSmall, parse);
  measure("request, curl: parse", kCurl, parse);
  measure("request, browser: parse", kBrowser, parse);
  measure("request, curl: parse and write", kCurl, forward);
  measure("request, browser: parse and write", kBrowser, forward);
  measure("response: parse", kResponse, parse_response);
  measure("response: parse and write", kResponse, forward_response);
  return 0;
}
