// What becomes of a verify's result: the catalog knows it from then on.
#include "verify/remember.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/catalog.h"
#include "store/notes.h"
#include "store/suspects.h"

namespace backup_ext {
namespace {

constexpr size_t kFirstProblemLimit = 2000;

}  // namespace

std::string FirstProblem(const VerifyResult& result) {
  if (result.problems.empty()) return {};
  const VerifyProblem& first = result.problems.front();
  return fmt::format("{}: {}", first.path, first.problem).substr(0, kFirstProblemLimit);
}

std::string NotRemembered(const std::string& backup_id, const Error& error) {
  return fmt::format("could not remember the result of verifying backup {}: {}", backup_id,
                     error.message());
}

std::string RememberVerify(const Repository& repository, const std::string& backup_id,
                           const VerifyResult& result) {
  VerifyNote note;
  note.made_at = Now();
  note.problems = result.damaged_files;
  note.first_problem = FirstProblem(result);
  note.checked_bytes = result.checked_bytes;
  try {
    AddVerifyNote(repository, backup_id, note);
    if (note.problems > 0) MarkSuspects(repository, ReadCatalog(repository), backup_id);
  } catch (const Error& error) {
    return NotRemembered(backup_id, error);
  }
  return {};
}

}  // namespace backup_ext
