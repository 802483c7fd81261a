import Glibc
import MartletIO
import MartletPrimitives
import MartletStorage
import Synchronization
import Testing

/// A store in a folder of its own, and a loop that hears its answers.
final class StoreBench: Sendable {
  let folder: String
  let worker = Worker(EventLoop(index: 0), log: .silent) { _ in }
  let wallTime = Mutex<Int64>(1_000_000)
  let lines = Mutex<[String]>([])

  init() {
    var template = Array("/tmp/martlet-store-XXXXXX".utf8CString)
    _ = mkdtemp(&template)
    folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    worker.loop.post { $0.stop() }
    worker.join()
    for entry in FileTree.list(folder) { unlink("\(folder)/\(entry.name)") }
    rmdir(folder)
  }

  var path: String { folder + "/messages.db" }

  func store(_ limits: MessageStore.Limits = MessageStore.Limits(), path: String? = nil) throws(StorageError) -> MessageStore {
    let log = Log { record in self.lines.withLock { $0.append(record.message) } }
    return try MessageStore(path: path ?? self.path, limits: limits, log: log) { self.wallTime.withLock { $0 } }
  }

  func open(
    _ store: MessageStore, _ channel: String, messages: Int = 1000, age: TimeSpan = .seconds(3600), bytes: Int = 1 << 20
  ) async throws -> StoredHistory {
    let retention = Retention(messages: messages, age: age, bytes: bytes)
    return try await withCheckedContinuation { continuation in
      store.open(channel: channel, retention: retention, on: worker.loop) { _, result in continuation.resume(returning: result) }
    }.get()
  }

  func append(_ store: MessageStore, _ messages: [StoredMessage]) async throws {
    try await withCheckedContinuation { continuation in
      store.append(messages, on: worker.loop) { _, result in continuation.resume(returning: result) }
    }.get()
  }

  func messages(_ channel: String, _ offsets: ClosedRange<UInt64>, time: Int64 = 1_000_000, payload: Int = 10) -> [StoredMessage] {
    offsets.map {
      StoredMessage(
        channel: channel, offset: $0, time: time, kind: "text", type: "text/plain", event: "news",
        payload: Slice([UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: payload)))
    }
  }

  func copy(_ name: String, to target: String) {
    let source = open_(name, O_RDONLY), sink = open_(target, O_RDWR | O_CREAT | O_TRUNC)
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(source, &buffer, buffer.count)
      guard count > 0 else { break }
      _ = write(sink, buffer, count)
    }
    close(source)
    close(sink)
  }

  private func open_(_ name: String, _ flags: Int32) -> Int32 { Glibc.open(name, flags, 0o600) }
}

@Suite struct MessageStoreTests {
  let bench = StoreBench()

  @Test func `what was appended is there after the store was closed and opened again`() async throws {
    let store = try bench.store()
    let first = try await bench.open(store, "chat")
    #expect(first.messages.isEmpty && first.nextOffset == 1 && first.epoch.utf8.count >= 8)
    var messages = bench.messages("chat", 1...3)
    messages[1].key = "order-7"
    messages[1].user = "ann"
    messages[2].payload = Slice()
    try await bench.append(store, messages)
    store.close()
    let again = try bench.store()
    let second = try await bench.open(again, "chat")
    #expect(second.messages == messages)
    #expect(second.epoch == first.epoch && second.nextOffset == 4)
    #expect(second.keys == [StoredHistory.Key(key: "order-7", offset: 2)])
    again.close()
  }

  @Test func `an answer comes after the commit: a copy of the files taken then holds the message`() async throws {
    let store = try bench.store()
    _ = try await bench.open(store, "chat")
    try await bench.append(store, bench.messages("chat", 1...100))
    // What kill -9 would leave behind: nothing was closed or folded in.
    let copy = bench.folder + "/copy.db"
    bench.copy(bench.path, to: copy)
    bench.copy(bench.path + "-wal", to: copy + "-wal")
    let survivor = try bench.store(path: copy)
    let history = try await bench.open(survivor, "chat")
    #expect(history.messages.map(\.offset) == Array(1...100) && history.nextOffset == 101)
    survivor.close()
    store.close()
  }

  @Test func `answers come in the order of the calls, and many appends share a transaction`() async throws {
    let store = try bench.store()
    _ = try await bench.open(store, "chat")
    let order = Mutex<[UInt64]>([])
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      for message in bench.messages("chat", 1...2000) {
        store.append([message], on: bench.worker.loop) { _, result in
          guard case .success = result else { return }
          let isLast = order.withLock { order in
            order.append(message.offset)
            return order.count == 2000
          }
          if isLast { continuation.resume() }
        }
      }
    }
    let isInOrder = order.withLock { $0 == Array(1...2000) }
    #expect(isInOrder)
    store.close()
  }

  @Test func `retention cuts by number, and the next offset does not go back when nothing is left`() async throws {
    let store = try bench.store()
    let epoch = try await bench.open(store, "chat", messages: 10).epoch
    for start in stride(from: UInt64(1), to: 2000, by: 100) {
      try await bench.append(store, bench.messages("chat", start...(start + 99)))
    }
    let ten = try await bench.open(store, "chat", messages: 10)
    #expect(ten.messages.map(\.offset) == Array(1991...2000))
    // By age: everything is older than a second.
    bench.wallTime.withLock { $0 += 10_000 }
    let none = try await bench.open(store, "chat", messages: 10, age: .seconds(1))
    #expect(none.messages.isEmpty && none.nextOffset == 2001 && none.epoch == epoch)
    store.close()
    let again = try bench.store()
    #expect(try await bench.open(again, "chat").nextOffset == 2001)
    again.close()
  }

  @Test func `retention by bytes keeps the newest that fit`() async throws {
    let store = try bench.store()
    _ = try await bench.open(store, "chat", bytes: 5000)
    try await bench.append(store, bench.messages("chat", 1...20, payload: 1000))
    let history = try await bench.open(store, "chat", bytes: 5000)
    #expect(history.messages.map(\.offset) == Array(17...20))
    store.close()
  }

  @Test func `channels that nobody opens lose what is too old, too`() async throws {
    var limits = MessageStore.Limits()
    limits.sweep = .milliseconds(10)
    do {
      let store = try bench.store()
      _ = try await bench.open(store, "idle", messages: 5000, age: .seconds(60))
      try await bench.append(store, bench.messages("idle", 1...2000))
      store.close()
    }
    bench.wallTime.withLock { $0 += 120_000 }
    let store = try bench.store(limits)
    _ = try await bench.open(store, "other")
    // A longer age afterwards would show what is still on the disk.
    var left = 2000
    for _ in 0..<200 where left > 0 {
      try await Task.sleep(nanoseconds: 20_000_000)
      left = try await countOnDisk(store)
    }
    #expect(left == 0)
    store.close()
  }

  /// Closing would be needed to look from outside, so the look goes through a copy.
  private func countOnDisk(_ store: MessageStore) async throws -> Int {
    let copy = bench.folder + "/look.db"
    bench.copy(bench.path, to: copy)
    bench.copy(bench.path + "-wal", to: copy + "-wal")
    // Copied in the middle of a commit, the copy may be of no use.
    guard let look = try? bench.store(path: copy) else { return -1 }
    defer { look.close() }
    return try await bench.open(look, "idle", messages: 5000, age: .seconds(86_400)).messages.count
  }

  @Test func `an offset is not stored twice, and one message's misuse is not another's`() async throws {
    let store = try bench.store()
    _ = try await bench.open(store, "chat")
    try await bench.append(store, bench.messages("chat", 1...5))
    await #expect(throws: StorageError.self) { try await bench.append(store, bench.messages("chat", 5...6)) }
    await #expect(throws: StorageError.self) { try await bench.append(store, bench.messages("unknown", 1...1)) }
    try await bench.append(store, bench.messages("chat", 6...6) + bench.messages("chat", 9...9))
    let offsets = try await bench.open(store, "chat").messages.map(\.offset)
    #expect(offsets == [1, 2, 3, 4, 5, 6, 9])
    store.close()
  }

  @Test func `a second process is refused while the first has the file`() async throws {
    let store = try bench.store()
    _ = try await bench.open(store, "chat")
    #expect(throws: StorageError.locked(bench.path)) { _ = try bench.store() }
    store.close()
    let next = try bench.store()
    next.close()
  }

  @Test func `a file that is no database, and one of another program, are refused and left alone`() throws {
    let file = Glibc.open(bench.path, O_RDWR | O_CREAT, 0o600)
    let garbage = [UInt8](repeating: 0x5A, count: 8192)
    _ = write(file, garbage, garbage.count)
    close(file)
    do throws(StorageError) {
      _ = try bench.store()
      Issue.record("a file of garbage was opened")
    } catch {
      guard case .corrupted = error else { return #expect(Bool(false), "\(error)") }
    }
    var information = stat()
    stat(bench.path, &information)
    #expect(information.st_size == 8192)
  }

  @Test func `a damaged page is an error to whoever asks, one line in the log, and no crash`() async throws {
    do {
      let store = try bench.store()
      _ = try await bench.open(store, "chat", messages: 5000)
      try await bench.append(store, bench.messages("chat", 1...2000, payload: 200))
      store.close()
    }
    let file = Glibc.open(bench.path, O_RDWR)
    let garbage = [UInt8](repeating: 0xFF, count: 4096)
    var information = stat()
    fstat(file, &information)
    for page in 2..<(information.st_size / 4096) { pwrite(file, garbage, garbage.count, page * 4096) }
    close(file)
    do {
      let store = try bench.store()
      await #expect(throws: StorageError.self) { _ = try await bench.open(store, "chat", messages: 5000) }
      await #expect(throws: StorageError.self) { _ = try await bench.open(store, "chat", messages: 5000) }
      store.close()
      #expect(bench.lines.withLock { $0.count } == 1)
    } catch {
      guard case .corrupted = error else { throw error }
    }
  }

  @Test func `what waits for the disk is bounded, and a closed store says so`() async throws {
    var limits = MessageStore.Limits()
    limits.waitingMessages = 10
    let store = try bench.store(limits)
    _ = try await bench.open(store, "chat")
    await #expect(throws: StorageError.overloaded) { try await bench.append(store, bench.messages("chat", 1...11)) }
    try await bench.append(store, bench.messages("chat", 1...10))
    store.close()
    await #expect(throws: StorageError.closed) { try await bench.append(store, bench.messages("chat", 11...11)) }
  }

  @Test func `a full file fails the batch, keeps the channel's place, and the next append works`() async throws {
    var limits = MessageStore.Limits()
    limits.fileBytes = 200_000
    let store = try bench.store(limits)
    _ = try await bench.open(store, "chat")
    try await bench.append(store, bench.messages("chat", 1...5))
    do {
      try await bench.append(store, bench.messages("chat", 6...10, payload: 100_000))
      Issue.record("more was stored than the file may hold")
    } catch let error as StorageError {
      guard case .full = error else { throw error }
    }
    try await bench.append(store, bench.messages("chat", 6...10))
    let offsets = try await bench.open(store, "chat").messages.map(\.offset)
    #expect(offsets == Array(1...10))
    #expect(bench.lines.withLock { $0.count } == 2)
    store.close()
  }
}
