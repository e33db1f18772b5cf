// SPDX-License-Identifier: Apache-2.0
// From texts to an immutable set of objects. No I/O: the caller reads the files.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mesh-rules/destination_rule.h"
#include "mesh-rules/kubernetes.h"
#include "mesh-rules/virtual_service.h"

namespace weir::mesh {

using Object =
    std::variant<std::shared_ptr<const Service>, std::shared_ptr<const EndpointSlice>, std::shared_ptr<const Endpoints>,
                 std::shared_ptr<const Pod>, std::shared_ptr<const VirtualService>, std::shared_ptr<const DestinationRule>>;

const Meta& meta(const Object& object);

/// What one file gave. Immutable; the caller keeps it and parses again only the files that changed.
struct ParsedFile {
  std::string file;
  std::vector<Object> objects;    ///< the sound ones, in the order of the file
  std::vector<ObjectKey> broken;  ///< named but with errors: their last good form counts
  bool damaged = false;  ///< some document could not be attributed to an object (or the file could not be read): whatever the
                         ///< last store had from this file stays, unless another place defines it
  std::map<std::string, int> ignored;  ///< kinds that do not concern the mesh, with how often
  std::vector<Problem> problems;       ///< sorted by line
};

/// Reads one file: multi-document YAML, also `kind: List`. Never throws, never fails: problems are values. Limits: 8 MiB of
/// text, depth 64, 500,000 nodes with aliases expanded.
ParsedFile parse(std::string_view file, std::string_view text);

/// For a file that is there but could not be read: one problem, and what came from it stays.
ParsedFile unreadable(std::string_view file, const Error& error);

/// Immutable and sorted; safe to share between threads.
class Store {
 public:
  /// Takes the sound objects of all files; objects that are broken now keep their form from `previous` (may be null). An object
  /// that no file names any more goes. Two objects with one name: the first by file and line counts, the other is a problem.
  /// `problems` receives all: those of the files and those of this step, sorted by file and line.
  static std::shared_ptr<const Store> build(const Store* previous, const std::vector<std::shared_ptr<const ParsedFile>>& files,
                                            std::vector<Problem>& problems);

  const std::map<ObjectKey, Object>& objects() const { return objects_; }

  /// Each list is sorted by name, then namespace.
  const std::vector<std::shared_ptr<const Service>>& services() const { return services_; }
  const std::vector<std::shared_ptr<const EndpointSlice>>& endpoint_slices() const { return endpoint_slices_; }
  const std::vector<std::shared_ptr<const Endpoints>>& endpoints() const { return endpoints_; }
  const std::vector<std::shared_ptr<const Pod>>& pods() const { return pods_; }
  const std::vector<std::shared_ptr<const VirtualService>>& virtual_services() const { return virtual_services_; }
  const std::vector<std::shared_ptr<const DestinationRule>>& destination_rules() const { return destination_rules_; }

 private:
  void add(const ObjectKey& key, const Object& object);
  void index();

  std::map<ObjectKey, Object> objects_;
  std::vector<std::shared_ptr<const Service>> services_;
  std::vector<std::shared_ptr<const EndpointSlice>> endpoint_slices_;
  std::vector<std::shared_ptr<const Endpoints>> endpoints_;
  std::vector<std::shared_ptr<const Pod>> pods_;
  std::vector<std::shared_ptr<const VirtualService>> virtual_services_;
  std::vector<std::shared_ptr<const DestinationRule>> destination_rules_;
};

/// What is wrong between objects: unknown hosts and subsets, two VirtualServices for one host … All are warnings, since Istio
/// sends such rules too (a request then gets 503). Sorted by file and line. `domain` is "cluster.local".
std::vector<Problem> validate(const Store& store, std::string_view domain);

/// Sorts by file, line, then path.
void sort_problems(std::vector<Problem>& problems);

}  // namespace weir::mesh
