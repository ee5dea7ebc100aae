// What every ObjectStore promises (store/object_store.h), as one suite.
//
// An implementation gives a harness, made anew for each test, over an empty place of its own:
//   ObjectStore& store();                        always the same one
//   std::unique_ptr<ObjectStore> OpenAnother();  a second store over the same place
// and runs the suite with INSTANTIATE_TYPED_TEST_SUITE_P(Name, ObjectStoreConformance, Harness).
#pragma once

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "store/object_store.h"
#include "store/store_test_support.h"

namespace backup_ext {

template <typename Harness>
class ObjectStoreConformance : public testing::Test {
 protected:
  ObjectStore& store() { return harness_.store(); }
  Harness& harness() { return harness_; }

  // A whole object as text; "(none)" when there is none.
  static std::string TextOf(ObjectStore& store, const std::string& name) {
    const std::optional<Bytes> bytes = store.Get(name, 1 << 30);
    return bytes ? std::string(AsText(*bytes)) : "(none)";
  }
  std::string TextOf(const std::string& name) { return TextOf(store(), name); }

 private:
  Harness harness_;
};
TYPED_TEST_SUITE_P(ObjectStoreConformance);

TYPED_TEST_P(ObjectStoreConformance, GivesBackWhatWasPut) {
  this->store().Put("packs/a/0-0.pack", AsBytes("first"));
  this->store().Put("top.json", AsBytes(""));
  EXPECT_EQ(this->TextOf("packs/a/0-0.pack"), "first");
  EXPECT_EQ(this->TextOf("top.json"), "");
  EXPECT_EQ(this->TextOf(*this->harness().OpenAnother(), "packs/a/0-0.pack"), "first");
}

TYPED_TEST_P(ObjectStoreConformance, KeepsEveryByteOfALargeObject) {
  const Bytes piece = RandomBytes(1'000'003);
  Xxh3Stream written;
  const std::unique_ptr<ObjectWriter> writer = this->store().Create("packs/a/big");
  for (int i = 0; i < 20; i++) {
    writer->Append(piece);
    written.Update(piece);
  }
  EXPECT_EQ(writer->size_bytes(), 20 * piece.size());
  writer->Commit();

  const std::unique_ptr<ObjectReader> reader = this->store().Open("packs/a/big");
  ASSERT_NE(reader, nullptr);
  ASSERT_EQ(reader->size_bytes(), 20 * piece.size());
  Xxh3Stream read;
  Bytes buffer;
  for (uint64_t offset = 0; offset < reader->size_bytes(); offset += buffer.size()) {
    reader->ReadRangeInto(offset, 300'000, &buffer);
    ASSERT_FALSE(buffer.empty());
    read.Update(buffer);
  }
  EXPECT_EQ(read.Finish(), written.Finish());
}

TYPED_TEST_P(ObjectStoreConformance, HasNothingUnderANameThatWasNeverPut) {
  this->store().Put("backups/a/record.json", AsBytes("x"));
  EXPECT_EQ(this->store().Open("backups/b/record.json"), nullptr);
  EXPECT_EQ(this->store().Open("backups/a/record.json/below"), nullptr);
  EXPECT_EQ(this->store().Open("backups/a"), nullptr);
  EXPECT_FALSE(this->store().Get("nothing", 100).has_value());
}

TYPED_TEST_P(ObjectStoreConformance, ReadsRanges) {
  this->store().Put("object", AsBytes("0123456789"));
  const std::unique_ptr<ObjectReader> reader = this->store().Open("object");
  ASSERT_NE(reader, nullptr);
  EXPECT_EQ(AsText(reader->ReadRange(0, 4)), "0123");
  EXPECT_EQ(AsText(reader->ReadRange(8, 4)), "89");
  EXPECT_EQ(AsText(reader->ReadRange(10, 4)), "");
  EXPECT_EQ(AsText(reader->ReadRange(3, 0)), "");
  // A damaged manifest may ask for anything; no more is allocated than there is.
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(AsText(reader->ReadRange(kMost, 4)), "");
  EXPECT_EQ(AsText(reader->ReadRange(5, std::numeric_limits<size_t>::max())), "56789");
  Bytes buffer(100);
  reader->ReadRangeInto(2, 3, &buffer);
  EXPECT_EQ(AsText(buffer), "234");
}

TYPED_TEST_P(ObjectStoreConformance, RefusesToGetMoreThanTheLimit) {
  this->store().Put("object", AsBytes("0123456789"));
  EXPECT_TRUE(this->store().Get("object", 10).has_value());
  EXPECT_ERROR(this->store().Get("object", 9), ErrorCode::kDamaged, "object");
}

TYPED_TEST_P(ObjectStoreConformance, NeverWritesANameTwice) {
  this->store().Put("backups/a/record.json", AsBytes("first"));
  EXPECT_ERROR(this->store().Put("backups/a/record.json", AsBytes("second")),
               ErrorCode::kAlreadyExists, "backups/a/record.json");
  EXPECT_EQ(this->TextOf("backups/a/record.json"), "first");

  // Neither when the other one came while this one was being written.
  const std::unique_ptr<ObjectWriter> late = this->store().Create("backups/b/record.json");
  late->Append(AsBytes("late"));
  this->harness().OpenAnother()->Put("backups/b/record.json", AsBytes("early"));
  EXPECT_ERROR(late->Commit(), ErrorCode::kAlreadyExists, "backups/b/record.json");
  EXPECT_EQ(this->TextOf("backups/b/record.json"), "early");
}

TYPED_TEST_P(ObjectStoreConformance, ShowsNothingBeforeCommit) {
  const std::unique_ptr<ObjectWriter> writer = this->store().Create("packs/a/0-0.pack");
  writer->Append(AsBytes("half"));
  EXPECT_EQ(this->TextOf("packs/a/0-0.pack"), "(none)");
  EXPECT_THAT(this->store().List(""), testing::IsEmpty());
  writer->Append(AsBytes(" whole"));
  writer->Commit();
  EXPECT_EQ(this->TextOf("packs/a/0-0.pack"), "half whole");
  EXPECT_THAT(NamesOf(this->store().List("")), testing::ElementsAre("packs/a/0-0.pack"));
}

TYPED_TEST_P(ObjectStoreConformance, LeavesNothingOfAWriterThatWasDropped) {
  {
    const std::unique_ptr<ObjectWriter> writer = this->store().Create("packs/a/0-0.pack");
    writer->Append(AsBytes("half"));
  }
  EXPECT_EQ(this->TextOf("packs/a/0-0.pack"), "(none)");
  EXPECT_THAT(this->store().List(""), testing::IsEmpty());
  this->store().Put("packs/a/0-0.pack", AsBytes("whole"));
  EXPECT_EQ(this->TextOf("packs/a/0-0.pack"), "whole");
}

TYPED_TEST_P(ObjectStoreConformance, EndsAWriterWithItsCommit) {
  const std::unique_ptr<ObjectWriter> writer = this->store().Create("object");
  writer->Append(AsBytes("bytes"));
  writer->Commit();
  EXPECT_THROW(writer->Append(AsBytes("more")), Error);
  EXPECT_THROW(writer->Commit(), Error);
  EXPECT_EQ(this->TextOf("object"), "bytes");
}

TYPED_TEST_P(ObjectStoreConformance, ListsWhatLiesBelowAPrefix) {
  for (const char* name : {"packs/b/0-1.pack", "packs/b/0-0.pack", "packs/a/0-0.pack",
                           "packs/ab/0-0.pack", "repository.json", "packs2/x"}) {
    this->store().Put(name, AsBytes(name));
  }
  EXPECT_THAT(NamesOf(this->store().List("packs/")),
              testing::ElementsAre("packs/a/0-0.pack", "packs/ab/0-0.pack", "packs/b/0-0.pack",
                                   "packs/b/0-1.pack"));
  EXPECT_THAT(NamesOf(this->store().List("packs/a/")), testing::ElementsAre("packs/a/0-0.pack"));
  EXPECT_EQ(this->store().List("").size(), 6U);
  EXPECT_THAT(this->store().List("wal/"), testing::IsEmpty());

  const ObjectInfo info = this->store().List("packs/ab/").at(0);
  EXPECT_EQ(info.size_bytes, info.name.size());
  EXPECT_NEAR(static_cast<double>(info.modified_at_us), static_cast<double>(Now()), 3600e6);
}

TYPED_TEST_P(ObjectStoreConformance, ListsTheNextComponents) {
  for (const char* name :
       {"backups/b/record.json", "backups/a/record.json", "backups/a/manifest", "top.json"}) {
    this->store().Put(name, AsBytes("x"));
  }
  EXPECT_THAT(this->store().ListNames(""), testing::ElementsAre("backups", "top.json"));
  EXPECT_THAT(this->store().ListNames("backups/"), testing::ElementsAre("a", "b"));
  EXPECT_THAT(this->store().ListNames("backups/a/"),
              testing::ElementsAre("manifest", "record.json"));
  EXPECT_THAT(this->store().ListNames("wal/"), testing::IsEmpty());
}

TYPED_TEST_P(ObjectStoreConformance, Deletes) {
  this->store().Put("packs/a/0-0.pack", AsBytes("x"));
  this->store().Put("packs/a/0-1.pack", AsBytes("y"));
  EXPECT_TRUE(this->store().Delete("packs/a/0-0.pack"));
  EXPECT_FALSE(this->store().Delete("packs/a/0-0.pack"));
  EXPECT_FALSE(this->store().Delete("packs/never/0-0.pack"));
  EXPECT_FALSE(this->store().Delete("packs/a"));
  EXPECT_EQ(this->TextOf("packs/a/0-0.pack"), "(none)");
  EXPECT_EQ(this->TextOf("packs/a/0-1.pack"), "y");
  EXPECT_TRUE(this->store().Delete("packs/a/0-1.pack"));
  EXPECT_THAT(this->store().ListNames("packs/"), testing::IsEmpty());
  this->store().Put("packs/a/0-2.pack", AsBytes("z"));
  EXPECT_EQ(this->TextOf("packs/a/0-2.pack"), "z");
}

TYPED_TEST_P(ObjectStoreConformance, KeepsAnOpenObjectReadableOrSaysThatItIsGone) {
  this->store().Put("object", AsBytes("0123456789"));
  const std::unique_ptr<ObjectReader> reader = this->store().Open("object");
  this->store().Delete("object");
  try {
    EXPECT_EQ(AsText(reader->ReadRange(0, 10)), "0123456789");
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), testing::HasSubstr("object"));
  }
}

TYPED_TEST_P(ObjectStoreConformance, RefusesWhatIsNoName) {
  for (const char* name : {"", "/", "/etc/passwd", "../x", "a/../b", "a/./b", "a//b", "a/", ".",
                           "..", "a b", "a\nb", "a\\b", "\xC3\xA4", "lost+found"}) {
    SCOPED_TRACE(name);
    EXPECT_ERROR(this->store().Put(name, AsBytes("x")), ErrorCode::kInvalidArgument, "name");
    EXPECT_ERROR(this->store().Create(name), ErrorCode::kInvalidArgument, "name");
    EXPECT_ERROR(this->store().Open(name), ErrorCode::kInvalidArgument, "name");
    EXPECT_ERROR(this->store().Get(name, 10), ErrorCode::kInvalidArgument, "name");
    EXPECT_ERROR(this->store().Delete(name), ErrorCode::kInvalidArgument, "name");
  }
  const std::string with_nul("a\0b", 3);
  EXPECT_ERROR(this->store().Put(with_nul, AsBytes("x")), ErrorCode::kInvalidArgument, "name");
  for (const char* prefix : {"backups", "/", "../", "a/../", "a//", "backups/x"}) {
    SCOPED_TRACE(prefix);
    EXPECT_ERROR(this->store().List(prefix), ErrorCode::kInvalidArgument, "prefix");
    EXPECT_ERROR(this->store().ListNames(prefix), ErrorCode::kInvalidArgument, "prefix");
  }
  EXPECT_THAT(this->store().List(""), testing::IsEmpty());
}

TYPED_TEST_P(ObjectStoreConformance, SweepsOnlyTemporaries) {
  this->store().Put("packs/a/0-0.pack", AsBytes("x"));
  this->store().Put("repository.json", AsBytes("y"));
  this->harness().OpenAnother()->SweepTemporaries();
  EXPECT_THAT(NamesOf(this->store().List("")),
              testing::ElementsAre("packs/a/0-0.pack", "repository.json"));
}

TYPED_TEST_P(ObjectStoreConformance, ServesManyThreads) {
  constexpr int kThreads = 4, kObjects = 25;
  std::atomic<int> won{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kObjects; i++) {
        const std::string own = "packs/d" + std::to_string(i) + "/" + std::to_string(t);
        this->store().Put(own, AsBytes(own));
        try {
          this->store().Put("packs/d" + std::to_string(i) + "/shared", AsBytes(own));
          won++;
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kAlreadyExists) << error.message();
        }
        EXPECT_EQ(this->TextOf(own), own);
        if (i % 2 == 0) {
          EXPECT_TRUE(this->store().Delete(own));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won, kObjects);
  EXPECT_EQ(this->store().List("").size(), size_t{kObjects + kThreads * (kObjects / 2)});
}

TYPED_TEST_P(ObjectStoreConformance, MakesAndEmptiesTheSamePrefixFromTwoThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; t++) {
    threads.emplace_back([&, t] {
      const std::unique_ptr<ObjectStore> own_store = this->harness().OpenAnother();
      for (int i = 0; i < 100; i++) {
        const std::string name = "packs/same/" + std::to_string(t);
        own_store->Put(name, AsBytes("x"));
        EXPECT_TRUE(own_store->Delete(name));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(this->store().List(""), testing::IsEmpty());
}

TYPED_TEST_P(ObjectStoreConformance, SaysWhereItIs) {
  EXPECT_FALSE(this->store().Describe().empty());
  const std::optional<uint64_t> free_bytes = this->store().FreeBytes();
  if (free_bytes) {
    EXPECT_GT(*free_bytes, 0U);
  }
}

REGISTER_TYPED_TEST_SUITE_P(ObjectStoreConformance, GivesBackWhatWasPut,
                            KeepsEveryByteOfALargeObject, HasNothingUnderANameThatWasNeverPut,
                            ReadsRanges, RefusesToGetMoreThanTheLimit, NeverWritesANameTwice,
                            ShowsNothingBeforeCommit, LeavesNothingOfAWriterThatWasDropped,
                            EndsAWriterWithItsCommit, ListsWhatLiesBelowAPrefix,
                            ListsTheNextComponents, Deletes,
                            KeepsAnOpenObjectReadableOrSaysThatItIsGone, RefusesWhatIsNoName,
                            SweepsOnlyTemporaries, ServesManyThreads,
                            MakesAndEmptiesTheSamePrefixFromTwoThreads, SaysWhereItIs);

}  // namespace backup_ext
