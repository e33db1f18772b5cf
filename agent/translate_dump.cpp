// SPDX-License-Identifier: Apache-2.0
// A small program to look at a translation: translate-dump POD.NAMESPACE IP[,IP…] [mesh-config=FILE] FILE…
// prints what the proxy of that Pod would get, as JSON, and the problems of the rules on stderr.
#include <cstdio>
#include <fstream>
#include <sstream>

#include "agent/dump.h"
#include "agent/translate.h"
#include "base/text.h"

using namespace weir;

namespace {

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: translate-dump POD.NAMESPACE IP[,IP…] [mesh-config=FILE] FILE…\n", stderr);
    return 1;
  }
  agent::ProxyIdentity proxy;
  std::string_view name = argv[1];
  proxy.name = name.substr(0, name.find('.'));
  proxy.ns = name.find('.') == std::string_view::npos ? "default" : name.substr(name.find('.') + 1);
  for (std::string_view text : split(argv[2], ',')) {
    if (Result<IpAddr> ip = IpAddr::parse(text)) proxy.ips.push_back(*ip);
  }
  agent::MeshSettings settings;
  std::vector<Problem> problems;
  std::vector<std::shared_ptr<const mesh::ParsedFile>> files;
  for (int i = 3; i < argc; ++i) {
    std::string path = argv[i];
    if (path.starts_with("mesh-config=")) {
      mesh::ParsedMeshConfig parsed = mesh::parse_mesh_config(path.substr(12), read_file(path.substr(12)));
      settings.config = parsed.config;
      problems.insert(problems.end(), parsed.problems.begin(), parsed.problems.end());
    } else {
      files.push_back(std::make_shared<mesh::ParsedFile>(mesh::parse(path, read_file(path))));
    }
  }
  auto store = mesh::Store::build(nullptr, files, problems);
  for (Problem& problem : mesh::validate(*store, settings.domain)) problems.push_back(std::move(problem));
  if (!problems.empty()) std::fprintf(stderr, "%s\n", to_text(problems).c_str());
  std::fputs(agent::to_json(agent::translate(*store, settings, proxy)).c_str(), stdout);
  return 0;
}
