// Manifests come back as they went in; damaged, cut and hostile ones are refused.
#include "format/manifest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/error.h"
#include "format/damage.h"

namespace backup_ext {
namespace {

constexpr char kId[] = "20261123-103245-9f3a2c1b";
constexpr char kParent[] = "20261122-103245-00000000";

ManifestHeader Header() { return {.system_identifier = 7, .backup_id = kId, .parent_id = kParent}; }

struct Content {
  std::vector<ManifestEntry> first, second;
  std::vector<PackId> packs;
};

Bytes Write(const Content& content, ManifestTotals* totals = nullptr) {
  Bytes stream;
  ManifestWriter writer(Header(), 1, [&stream](ByteSpan frame) {
    EXPECT_LE(frame.size(), kFrameHeaderBytes + kFramePlainLimitBytes);
    stream.insert(stream.end(), frame.begin(), frame.end());
  });
  for (size_t i = 0; i < content.packs.size(); ++i) {
    EXPECT_EQ(writer.PackIndex(content.packs[i]), i);
    EXPECT_EQ(writer.PackIndex(content.packs[i]), i);
  }
  for (const ManifestEntry& entry : content.first) {
    writer.Add(entry);
  }
  writer.BeginSecondSection();
  for (const ManifestEntry& entry : content.second) {
    writer.Add(entry);
  }
  const ManifestTotals written = writer.Finish();
  if (totals != nullptr) {
    *totals = written;
  }
  return stream;
}

// Hands out `stream` in pieces of `step` bytes.
ManifestReader::Source InPieces(const Bytes& stream, size_t step) {
  return [&stream, step, done = size_t{0}]() mutable {
    const size_t count = std::min(step, stream.size() - done);
    const auto from = stream.begin() + static_cast<ptrdiff_t>(done);
    done += count;
    return Bytes(from, from + static_cast<ptrdiff_t>(count));
  };
}

Content Read(const Bytes& stream, size_t step, ManifestTotals* totals = nullptr) {
  ManifestReader reader(InPieces(stream, step));
  EXPECT_EQ(reader.header(), Header());
  Content content;
  while (std::optional<ManifestEntry> entry = reader.Next()) {
    (reader.in_second_section() ? content.second : content.first).push_back(*entry);
  }
  content.packs = reader.packs();
  if (totals != nullptr) {
    *totals = reader.totals();
  }
  EXPECT_FALSE(reader.Next());
  return content;
}

ManifestEntry Entry(EntryKind kind, const std::string& path) {
  ManifestEntry entry;
  entry.kind = kind;
  entry.path = path;
  return entry;
}

ManifestEntry Directory(const std::string& path) { return Entry(EntryKind::kDirectory, path); }

ManifestEntry File(const std::string& path, uint32_t size) {
  ManifestEntry entry = Entry(EntryKind::kFile, path);
  entry.size_bytes = size;
  if (size > 0) {
    entry.map.frames = {{.pack = 0, .offset_bytes = 64, .stored_bytes = 50, .plain_bytes = size}};
    entry.map.Append(size, 0, 0);
  }
  return entry;
}

std::string RandomPath(std::mt19937_64* random) {
  std::string path;
  for (uint64_t parts = (*random)() % 3 + 1; parts > 0; --parts) {
    path += path.empty() ? "x" : "/x";
    for (uint64_t left = (*random)() % 10; left > 0; --left) {
      const char c = static_cast<char>((*random)());
      path += c == '\0' || c == '/' ? 'y' : c;
    }
  }
  return path;
}

ManifestEntry RandomEntry(std::mt19937_64* random, bool second) {
  ManifestEntry entry;
  entry.kind = second && (*random)() % 4 == 0
                   ? EntryKind::kRemoved
                   : std::array{EntryKind::kDirectory, EntryKind::kFile,
                                EntryKind::kConfiguration}[(*random)() % 3];
  entry.file_kind = static_cast<FileKind>((*random)() % 8);
  entry.path = RandomPath(random);
  entry.link_target = (*random)() % 3 == 0 ? "/etc/somewhere" : "";
  entry.mode = static_cast<uint32_t>((*random)());
  entry.uid = static_cast<uint32_t>((*random)());
  entry.gid = static_cast<uint32_t>((*random)());
  entry.inode = (*random)();
  entry.mtime_ns = static_cast<int64_t>((*random)());
  entry.ctime_ns = static_cast<int64_t>((*random)());
  entry.read_at = static_cast<int64_t>((*random)());
  for (uint64_t left = (*random)() % 3; left > 0; --left) {
    entry.xattrs["user." + std::to_string((*random)())] = std::string((*random)() % 9, '\0');
  }
  if (entry.kind != EntryKind::kFile && entry.kind != EntryKind::kConfiguration) {
    return entry;
  }
  for (std::byte& byte : entry.content) {
    byte = static_cast<std::byte>((*random)());
  }
  entry.map.unit_bytes = (*random)() % 2 == 0 ? 1 : 8192;
  const auto frames = static_cast<uint32_t>((*random)() % 400);
  for (uint32_t i = 0; i < frames; ++i) {
    entry.map.frames.push_back(
        {static_cast<uint32_t>((*random)() % 3), (*random)() >> 2, 1000, 32 * 8192, (*random)()});
    entry.map.Append((*random)() % 32, i, 0);
  }
  entry.size_bytes = entry.map.SizeBytes();
  if (entry.map.unit_bytes != 1) {
    entry.map.all_visible.resize((entry.size_bytes / 8192 + 7) / 8, std::byte{0x5A});
  }
  return entry;
}

std::vector<ManifestEntry> RandomSection(std::mt19937_64* random, bool second) {
  std::map<std::string, ManifestEntry> entries;
  for (uint64_t left = (*random)() % 300; left > 0; --left) {
    ManifestEntry entry = RandomEntry(random, second);
    entries[entry.path] = entry;
  }
  std::vector<ManifestEntry> sorted;
  for (const auto& [path, entry] : entries) {
    sorted.push_back(entry);
  }
  return sorted;
}

TEST(Manifest, RandomEntriesComeBackInPiecesOfAnySize) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (const size_t step : {size_t{1}, size_t{997}, size_t{100'000}, size_t{1} << 30}) {
    const Content content{RandomSection(&random, false),
                          RandomSection(&random, true),
                          {{kId, 0, 0}, {kId, 1, 0}, {kParent, 0, 4}}};
    ManifestTotals written, read;
    const Bytes stream = Write(content, &written);
    const Content result = Read(stream, step, &read);
    ASSERT_EQ(result.first, content.first);
    ASSERT_EQ(result.second, content.second);
    ASSERT_EQ(result.packs, content.packs);
    ASSERT_EQ(read, written);
  }
}

TEST(Manifest, EntryMaySpanFrames) {
  std::mt19937_64 random(1);
  ManifestEntry large = File("large", 0);
  for (uint32_t i = 0; i < 50'000; ++i) {  // about 1 MB
    large.map.frames.push_back({0, random() >> 2, 1000, 8192, random()});
    large.map.Append(8192, i, 0);
  }
  large.size_bytes = large.map.SizeBytes();
  const Content content{{large, File("small", 10)}, {}, {{kId, 0, 0}}};
  const Bytes stream = Write(content);
  EXPECT_GT(stream.size(), 2 * kFramePlainLimitBytes);
  EXPECT_EQ(Read(stream, 4096).first, content.first);
}

TEST(Manifest, TotalsCountWhatWasAdded) {
  const Content content{{Directory("base"), File("base/1", 100), File("base/2", 0)},
                        {File("global/pg_control", 8192)},
                        {{kId, 0, 0}}};
  ManifestTotals totals;
  static_cast<void>(Write(content, &totals));
  EXPECT_EQ(totals, (ManifestTotals{.files = 3, .directories = 1, .size_bytes = 8292}));
}

TEST(Manifest, EveryBitFlipAndTruncationIsFound) {
  std::mt19937_64 random(2);
  Content content{
      {Directory("base"), File("base/1", 100)}, {File("global/pg_control", 8192)}, {{kId, 0, 0}}};
  content.first[1].xattrs["user.noise"] = AsText(RandomContent(300, &random));
  const Bytes sound = Write(content);
  ASSERT_EQ(Read(sound, 1 << 20).first, content.first);
  const auto expect_found = [](const Bytes& damaged) {
    ASSERT_THROW(static_cast<void>(Read(damaged, 1 << 20)), Error);
  };
  ForEachBitFlip(sound, expect_found);
  ForEachTruncation(sound, expect_found);
  Bytes longer = sound;
  longer.push_back(std::byte{0});
  expect_found(longer);
  longer.pop_back();
  longer.insert(longer.end(), sound.begin(), sound.end());
  expect_found(longer);
}

TEST(Manifest, CutAtTheEndOfAFrameIsFound) {
  Content content{{}, {}, {{kId, 0, 0}}};
  std::mt19937_64 random(3);
  for (int i = 100; i < 200; ++i) {
    content.first.push_back(File(std::to_string(i), 10));
    content.first.back().xattrs["user.x"] = AsText(RandomContent(10'000, &random));
  }
  std::vector<size_t> ends;
  Bytes stream = Write(content);
  FrameDecoder decoder;
  Bytes plain;
  size_t consumed = 0;
  for (size_t done = 0; done < stream.size(); done += consumed) {
    ASSERT_EQ(decoder.DecodeNext(ByteSpan(stream).subspan(done), &plain, &consumed),
              FrameProblem::kNone);
    ends.push_back(done);
  }
  ASSERT_GT(ends.size(), 3U);
  for (const size_t end : ends) {
    const Bytes cut(stream.begin(), stream.begin() + static_cast<ptrdiff_t>(end));
    EXPECT_THROW(static_cast<void>(Read(cut, 1 << 20)), Error) << end;
  }
}

struct BadEntry {
  const char* name;
  std::function<void(ManifestWriter*)> write;
};

TEST(Manifest, WriterRefusesWhatNoReaderTakes) {
  const BadEntry cases[] = {
      {"descending", [](auto* w) { w->Add(Directory("b")), w->Add(Directory("a")); }},
      {"twice", [](auto* w) { w->Add(Directory("b")), w->Add(Directory("b")); }},
      {"absolute", [](auto* w) { w->Add(Directory("/b")); }},
      {"parent", [](auto* w) { w->Add(Directory("b/../../c")); }},
      {"pack not defined", [](auto* w) { w->Add(File("b", 10)); }},
      {"size not covered",
       [](auto* w) {
         ManifestEntry entry = File("b", 0);
         entry.size_bytes = 1;
         w->Add(entry);
       }},
      {"another page size",
       [](auto* w) {
         ManifestEntry entry = File("b", 0);
         entry.map.unit_bytes = 4096;
         w->Add(entry);
       }},
      {"directory with content",
       [](auto* w) {
         ManifestEntry entry = Directory("b");
         entry.map = File("b", 10).map;
         w->Add(entry);
       }},
      {"symbolic link to nothing",
       [](auto* w) { w->Add(Entry(EntryKind::kSymbolicLink, "media/1/a")); }},
      {"hard link to what does not come before it",
       [](auto* w) {
         ManifestEntry link = Entry(EntryKind::kHardLink, "media/1/a");
         link.link_target = "media/1/b";
         w->Add(link);
       }},
      {"hard link to what does not come before it",
       [](auto* w) {
         ManifestEntry link = Entry(EntryKind::kHardLink, "media/1/a");
         link.link_target = "../a";
         w->Add(link);
       }},
      {"removal in the first section", [](auto* w) { w->Add(Entry(EntryKind::kRemoved, "b")); }},
      {"tablespace elsewhere", [](auto* w) { w->Add(Entry(EntryKind::kTablespaceLink, "base")); }},
      {"third section", [](auto* w) { w->BeginSecondSection(), w->BeginSecondSection(); }},
      {"pack that is none",
       [](auto* w) {
         static_cast<void>(w->PackIndex({"../..", 0, 0}));
       }},
      {"after the end", [](auto* w) { w->Finish(), w->Add(Directory("a")); }},
  };
  for (const BadEntry& bad : cases) {
    SCOPED_TRACE(bad.name);
    ManifestWriter writer(Header(), 1, [](ByteSpan) {});
    try {
      bad.write(&writer);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInternal) << error.message();
    }
  }
}

TEST(Manifest, PathsStartAnewInTheSecondSection) {
  const Content content{{Directory("z")}, {Directory("a"), Entry(EntryKind::kRemoved, "z")}, {}};
  EXPECT_EQ(Read(Write(content), 10).second, content.second);
}

// Streams whose frames are sound and whose entries are not: made by hand, entry by entry.
struct HostileStream {
  const char* name;
  std::function<void(ByteWriter*)> put;
};

void PutEntry(ByteSpan entry, ByteWriter* out) { out->PutString(AsText(entry)); }

void PutHeader(uint32_t version, std::string_view id, uint32_t page_bytes, ByteWriter* out) {
  ByteWriter entry;
  entry.PutU8(67);
  entry.PutBytes(AsBytes("BXM1"));
  entry.PutVarint(version);
  entry.PutU64(7);
  entry.PutString(id);
  entry.PutString("");
  entry.PutVarint(page_bytes);
  PutEntry(entry.bytes(), out);
}

void PutNumbers(std::initializer_list<uint8_t> values, ByteWriter* out) {
  ByteWriter entry;
  for (const uint8_t value : values) {
    entry.PutU8(value);
  }
  PutEntry(entry.bytes(), out);
}

void PutFilePath(uint8_t kind, std::string_view path, ByteWriter* out) {
  ByteWriter entry;
  entry.PutU8(kind);
  entry.PutU8(0);
  entry.PutString(path);
  entry.PutBytes(Bytes(11));
  PutEntry(entry.bytes(), out);
}

constexpr std::initializer_list<uint8_t> kEmptyEnd = {66, 0, 0, 0};

void ReadAll(const Bytes& plain) {
  FrameEncoder encoder(1);
  Bytes stream;
  for (size_t done = 0; done < plain.size(); done += kFramePlainLimitBytes) {
    static_cast<void>(encoder.Encode(
        ByteSpan(plain).subspan(done, std::min(kFramePlainLimitBytes, plain.size() - done)),
        &stream));
  }
  ManifestReader reader(InPieces(stream, 1 << 20));
  while (reader.Next()) {
  }
}

TEST(Manifest, ReaderRefusesHostileEntries) {
  const HostileStream cases[] = {
      {"no end", [](auto*) {}},
      {"entry of 2^63 bytes", [](auto* o) { o->PutVarint(uint64_t{1} << 63); }},
      {"entry of 300 MB", [](auto* o) { o->PutVarint(300'000'000), o->PutBytes(Bytes(1000)); }},
      {"entry of nothing", [](auto* o) { o->PutVarint(0); }},
      {"endless length", [](auto* o) { o->PutBytes(Bytes(20, std::byte{0xFF})); }},
      {"unknown type",
       [](auto* o) {
         PutNumbers({6, 0}, o), PutNumbers(kEmptyEnd, o);
       }},
      {"header twice", [](auto* o) { PutHeader(1, kId, 8192, o); }},
      {"pack with a path",
       [](auto* o) {
         PutNumbers({64, 2, '.', '.', 0, 0}, o);
       }},
      {"climbing path", [](auto* o) { PutFilePath(1, "a/../..", o), PutNumbers(kEmptyEnd, o); }},
      {"absolute path", [](auto* o) { PutFilePath(1, "/etc", o), PutNumbers(kEmptyEnd, o); }},
      {"empty path", [](auto* o) { PutFilePath(1, "", o), PutNumbers(kEmptyEnd, o); }},
      {"out of order", [](auto* o) { PutFilePath(1, "b", o), PutFilePath(1, "a", o); }},
      {"entry with more",
       [](auto* o) {
         PutNumbers({66, 0, 0, 0, 0}, o);
       }},
      {"entry with less",
       [](auto* o) {
         PutNumbers({66, 0, 0}, o);
       }},
      {"wrong totals",
       [](auto* o) {
         PutNumbers({66, 1, 0, 0}, o);
       }},
      {"more after the end", [](auto* o) { PutNumbers(kEmptyEnd, o), PutNumbers(kEmptyEnd, o); }},
      {"second section twice", [](auto* o) { PutNumbers({65}, o), PutNumbers({65}, o); }},
  };
  ByteWriter sound;
  PutHeader(1, kId, 8192, &sound);
  PutFilePath(1, "a", &sound);
  PutNumbers({66, 0, 1, 0}, &sound);
  ASSERT_NO_THROW(ReadAll(sound.Take()));
  for (const HostileStream& hostile : cases) {
    SCOPED_TRACE(hostile.name);
    ByteWriter plain;
    PutHeader(1, kId, 8192, &plain);
    hostile.put(&plain);
    try {
      ReadAll(plain.Take());
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDamaged) << error.message();
    }
  }
}

TEST(Manifest, ReaderChecksTheHeader) {
  const auto code_of = [](uint32_t version, std::string_view id, uint32_t page_bytes) {
    ByteWriter plain;
    PutHeader(version, id, page_bytes, &plain);
    PutNumbers(kEmptyEnd, &plain);
    try {
      ReadAll(plain.Take());
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code_of(1, kId, 8192), ErrorCode::kInternal);  // no error
  EXPECT_EQ(code_of(2, kId, 8192), ErrorCode::kUnsupportedFormat);
  EXPECT_EQ(code_of(1, "../../../etc/password/abc", 8192), ErrorCode::kDamaged);
  EXPECT_EQ(code_of(1, kId, 8191), ErrorCode::kDamaged);
  EXPECT_THROW(ReadAll(Bytes(100, std::byte{1})), Error);
  EXPECT_THROW(ReadAll({}), Error);
}

TEST(Manifest, PathsAreRelativeAndPlain) {
  for (const char* good : {"a", "a/b", "base/1/1259", ".hidden", "...", "\xff", "a b\n"}) {
    EXPECT_TRUE(IsManifestPath(good)) << good;
  }
  for (const char* bad : {"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/./b"}) {
    EXPECT_FALSE(IsManifestPath(bad)) << bad;
  }
  EXPECT_FALSE(IsManifestPath(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace backup_ext
