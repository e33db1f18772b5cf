// SPDX-License-Identifier: Apache-2.0
// Values as YAML text that goes into a person's file. Pure.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

namespace weir::ctl {

/// How the lines around look.
struct Layout {
  std::string_view end_of_line = "\n";
  int dash_offset = 2;  ///< columns between a key and the dashes of its list: 0 or 2
};

/// A scalar as it may stand behind "key: ": plain where nobody can read it otherwise, else in quotes. Numbers and booleans plain.
std::string render_scalar(const boost::json::value& value);
/// The entries, each beginning with a line's end and `indent` blanks.
std::string render_entries(const boost::json::object& entries, int indent, const Layout& layout);
/// The items, each beginning with a line's end, `indent` blanks and a dash.
std::string render_items(const boost::json::array& items, int indent, const Layout& layout);

/// As JSON, for what stands in brackets. `margin`: null: on one line; else members stand on lines of their own, behind it.
std::string render_flow(const boost::json::value& value, const std::string* margin, const Layout& layout);

}  // namespace weir::ctl
