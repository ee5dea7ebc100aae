// What the program writes: for a person, or one JSON document.
#include "output.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>

namespace backup_ext {

void PrintJson(const nlohmann::json& document) {
  const std::string text =
      document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void PrintToStandardError(const std::string& text) { (void)std::fputs(text.c_str(), stderr); }

void PrintError(const Error& error, bool json) {
  if (json) {
    PrintJson({{"error",
                {{"message", error.message()},
                 {"detail", TextOrNull(error.detail())},
                 {"hint", TextOrNull(error.hint())},
                 {"sqlstate", error.sql_state()},
                 {"exit_code", ExitCode(error.code())}}}});
    std::fflush(stdout);
    return;
  }
  std::string text = fmt::format("backup_ext: error: {}\n", Printable(error.message()));
  if (!error.detail().empty()) {
    text += fmt::format("backup_ext: detail: {}\n", Printable(error.detail()));
  }
  if (!error.hint().empty()) text += fmt::format("backup_ext: hint: {}\n", Printable(error.hint()));
  PrintToStandardError(text);
}

void PrintWarning(const std::string& text) {
  PrintToStandardError(fmt::format("backup_ext: warning: {}\n", Printable(text)));
}

void FlushOutput() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw Error(ErrorCode::kIo, "could not write to standard output");
  }
}

std::string Printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

nlohmann::json TextOrNull(const std::string& text) {
  return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

std::string SizeText(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"kB", "MB", "GB", "TB", "PB"};
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  auto size = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; size >= 1024 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return size < 10 ? fmt::format("{:.1f} {}", size, kUnits[unit])
                   : fmt::format("{:.0f} {}", size, kUnits[unit]);
}

}  // namespace backup_ext
