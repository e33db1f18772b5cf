// SPDX-License-Identifier: Apache-2.0
// For tests: expected texts in files. WEIR_UPDATE_GOLDEN=1 (scripts/update-golden) rewrites them; the diff is reviewed.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

namespace weir::test {

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Compares with the file; rewrites it instead if asked to by the environment.
inline void check_golden(const std::filesystem::path& path, const std::string& actual) {
  CAPTURE(path.filename().string());
  const char* update = std::getenv("WEIR_UPDATE_GOLDEN");
  if (update != nullptr && *update != '\0' && std::string(update) != "0") {
    std::ofstream(path, std::ios::binary) << actual;
    return;
  }
  REQUIRE_MESSAGE(std::filesystem::exists(path), "no golden text: run scripts/update-golden and review it");
  CHECK(read_text(path) == actual);
}

}  // namespace weir::test
