// Rows of a set-returning function.
#include "result_set.h"

#include <cstring>

#include "guard.h"
#include "postgres_headers.h"
#include "timestamp.h"

namespace backup_ext {
namespace {

constexpr size_t kMaxColumns = 32;

struct ToDatum {
  bool* is_null;

  Datum operator()(SqlNull) const {
    *is_null = true;
    return 0;
  }
  Datum operator()(bool value) const { return BoolGetDatum(value); }
  Datum operator()(int32_t value) const { return Int32GetDatum(value); }
  Datum operator()(int64_t value) const {
    Datum datum = 0;
    CallPostgres([&] { datum = Int64GetDatum(value); });
    return datum;
  }
  Datum operator()(double value) const {
    Datum datum = 0;
    CallPostgres([&] { datum = Float8GetDatum(value); });
    return datum;
  }
  Datum operator()(const std::string& value) const {
    const std::string text = ToServerText(value);
    const char* const data = text.data();
    const int length = static_cast<int>(text.size());
    Datum datum = 0;
    CallPostgres([&] { datum = PointerGetDatum(cstring_to_text_with_len(data, length)); });
    return datum;
  }
  Datum operator()(SqlTime value) const {
    Datum datum = 0;
    CallPostgres([&] { datum = TimestampTzGetDatum(ToTimestamp(value.at)); });
    return datum;
  }
  Datum operator()(SqlInterval value) const {
    Datum datum = 0;
    CallPostgres([&] {
      Interval* const interval = static_cast<Interval*>(palloc0(sizeof(Interval)));
      interval->time = value.length;
      datum = IntervalPGetDatum(interval);
    });
    return datum;
  }
  Datum operator()(SqlLsn value) const {
    Datum datum = 0;
    CallPostgres([&] { datum = LSNGetDatum(value.lsn); });
    return datum;
  }
};

std::string WithoutForeignBytes(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80 || c == '\0') c = '?';
  }
  return text;
}

// `convert` returns its argument when nothing had to be done, else a palloc'd string.
template <typename Convert>
std::string Converted(const std::string& text, Convert convert) {
  const char* const data = text.c_str();
  const int length = static_cast<int>(text.size());
  char* converted = nullptr;
  try {
    CallPostgres([&] { converted = convert(data, length); });
  } catch (const PostgresError& error) {
    if (error.code() == ErrorCode::kCanceled) throw;
    return WithoutForeignBytes(text);
  }
  if (converted == nullptr || converted == data) return text;
  return converted;
}

}  // namespace

SqlValue TextOrNull(const std::string& value) {
  if (value.empty()) return SqlNull{};
  return value;
}

SqlValue TimeOrNull(Microseconds time) {
  if (time == 0) return SqlNull{};
  return SqlTime{time};
}

std::string ToServerText(const std::string& text) {
  return Converted(
      text, [](const char* data, int length) { return pg_any_to_server(data, length, PG_UTF8); });
}

std::string FromServerText(const std::string& text) {
  return Converted(
      text, [](const char* data, int length) { return pg_server_to_any(data, length, PG_UTF8); });
}

ResultSet::ResultSet(FunctionCallInfoBaseData* call) : call_(call) {
  CallPostgres([&] { InitMaterializedSRF(call, 0); });
}

void ResultSet::Add(const SqlRow& row) {
  const ReturnSetInfo* const result = reinterpret_cast<const ReturnSetInfo*>(call_->resultinfo);
  if (row.size() > kMaxColumns || static_cast<int>(row.size()) != result->setDesc->natts) {
    throw Error(ErrorCode::kInternal, "row has the wrong number of columns");
  }
  Datum values[kMaxColumns];
  bool nulls[kMaxColumns] = {};
  for (size_t i = 0; i < row.size(); i++) values[i] = std::visit(ToDatum{&nulls[i]}, row[i]);
  CallPostgres([&] { tuplestore_putvalues(result->setResult, result->setDesc, values, nulls); });
}

}  // namespace backup_ext
