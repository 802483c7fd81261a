internal import Glibc
internal import MartletIO
internal import MartletPrimitives

/// The log on the disk, as its writer's thread sees it: channels, their messages and the idempotency keys.
///
/// WITHOUT ROWID keeps a channel's messages together in offset order in one tree, so that an append goes to one place,
/// history is one scan, and retention cuts from the front.
internal final class MessageLog {
  private struct Channel {
    var id: Int64
    var next: UInt64
    var retention: Retention
    /// Of what lies on the disk, which may be a little more than retention allows.
    var count: Int
    var bytes: Int
  }

  internal static let schemaVersion = 1
  /// "Mart", so that another program's database is not taken for ours.
  private static let applicationID = 0x4D61_7274
  /// Rows deleted at once, so that no append waits long for retention.
  private static let trimRows = 512
  private static let sweptChannels = 256
  private static let keptKeys = 1000
  private static let keyAge = TimeSpan.seconds(86_400)

  private let database: Database
  private var channels: [String: Channel] = [:]
  /// What the transaction under way changed, as it was before.
  private var before: [String: Channel?] = [:]
  private var swept: Int64 = 0
  private let insertMessage: Statement, insertKey: Statement, setNext: Statement
  private let findChannel: Statement, addChannel: Statement, setRetention: Statement, measure: Statement
  private let history: Statement, keys: Statement, listChannels: Statement
  private let front: Statement, cut: Statement, cutKeys: Statement, expireKeys: Statement

  /// - Parameter isPowerSafe: `synchronous=FULL`; else NORMAL, which survives the process but not the power.
  internal init(path: String, isPowerSafe: Bool, fileBytes: Int = 0) throws(StorageError) {
    Self.makePrivate(path)
    database = try Database(path: path)
    // A server that is being replaced needs a moment to let go.
    database.wait(milliseconds: 2000)
    try Self.prepareFile(database, path: path, isPowerSafe: isPowerSafe)
    if fileBytes > 0 { try database.run("PRAGMA max_page_count = \(max(16, fileBytes / 4096))") }
    insertMessage = try database.prepare("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
    insertKey = try database.prepare("INSERT INTO keys VALUES (?, ?, ?, ?)")
    setNext = try database.prepare("UPDATE channels SET next = ? WHERE id = ?")
    findChannel = try database.prepare("SELECT id, epoch, next FROM channels WHERE name = ?")
    addChannel = try database.prepare("INSERT INTO channels (name, epoch, next, age) VALUES (?, ?, 1, 0)")
    setRetention = try database.prepare("UPDATE channels SET age = ? WHERE id = ?")
    measure = try database.prepare("SELECT count(*), total(size) FROM messages WHERE channel = ?")
    history = try database.prepare(
      "SELECT offset, time, kind, type, event, payload, size, user FROM messages WHERE channel = ? ORDER BY offset DESC LIMIT ?")
    keys = try database.prepare("SELECT offset, key FROM keys WHERE channel = ? ORDER BY offset DESC LIMIT ?")
    listChannels = try database.prepare("SELECT id, name, age FROM channels WHERE id > ? ORDER BY id LIMIT ?")
    front = try database.prepare("SELECT offset, time, size FROM messages WHERE channel = ? ORDER BY offset LIMIT ?")
    cut = try database.prepare("DELETE FROM messages WHERE channel = ? AND offset <= ?")
    cutKeys = try database.prepare(
      "DELETE FROM keys WHERE channel = ?1 AND offset <= "
        + "(SELECT offset FROM keys WHERE channel = ?1 ORDER BY offset DESC LIMIT 1 OFFSET \(Self.keptKeys))")
    expireKeys = try database.prepare(
      "DELETE FROM keys WHERE channel = ?1 AND time < ?2 AND offset <= "
        + "(SELECT max(offset) FROM (SELECT offset FROM keys WHERE channel = ?1 ORDER BY offset LIMIT \(Self.trimRows)))")
  }

  /// What people say to one another is not for other users of the machine; SQLite gives the files beside it the same mode.
  private static func makePrivate(_ path: String) {
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex { FileTree.makeFolders(String(path[..<slash]), mode: 0o700) }
    let file = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    if file >= 0 { Glibc.close(file) }
  }

  private static func prepareFile(_ database: Database, path: String, isPowerSafe: Bool) throws(StorageError) {
    // Offsets are given out in memory: a second process on the same file would give them out twice.
    try database.run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL")
    try database.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = \(isPowerSafe ? "FULL" : "NORMAL")")
    try database.run("PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY; BEGIN EXCLUSIVE")
    let version = Int(try database.integer("PRAGMA user_version"))
    guard version <= schemaVersion else { throw .newerSchema(found: version, known: schemaVersion) }
    if version == 0 {
      guard try database.integer("SELECT count(*) FROM sqlite_schema") == 0 else {
        throw .unavailable("\(path) is another program's database")
      }
      try database.run(
        """
        CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, next INTEGER NOT NULL,
          age INTEGER NOT NULL);
        CREATE TABLE messages (channel INTEGER NOT NULL, offset INTEGER NOT NULL, time INTEGER NOT NULL, kind TEXT NOT NULL,
          type TEXT NOT NULL, event TEXT NOT NULL, payload BLOB NOT NULL, size INTEGER NOT NULL, user TEXT,
          PRIMARY KEY (channel, offset)) WITHOUT ROWID;
        CREATE TABLE keys (channel INTEGER NOT NULL, offset INTEGER NOT NULL, key TEXT NOT NULL, time INTEGER NOT NULL,
          PRIMARY KEY (channel, offset)) WITHOUT ROWID;
        PRAGMA application_id = \(applicationID); PRAGMA user_version = \(schemaVersion)
        """)
    } else if try database.integer("PRAGMA application_id") != Int64(applicationID) {
      throw .unavailable("\(path) is another program's database")
    }
    try database.run("COMMIT")
  }

  // MARK: Transactions

  internal func begin() throws(StorageError) { try database.run("BEGIN IMMEDIATE") }

  internal func commit() throws(StorageError) {
    try database.run("COMMIT")
    before.removeAll(keepingCapacity: true)
  }

  internal func rollBack() {
    if database.isInTransaction { try? database.run("ROLLBACK") }
    for (name, channel) in exchange(&before, with: [:]) { channels[name] = channel }
  }

  private func set(_ name: String, _ channel: Channel) {
    if before[name] == nil { before[name] = .some(channels[name]) }
    channels[name] = channel
  }

  /// Folds the log of changes into the file.
  internal func close() {
    try? database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
  }

  // MARK: Channels

  internal func open(_ name: String, _ retention: Retention, epoch made: () -> String, now: Int64) throws(StorageError) -> StoredHistory {
    findChannel.bind(1, name)
    defer { findChannel.reset() }
    if !(try findChannel.step()) {
      try addChannel.bind(1, name).bind(2, made()).run()
      findChannel.reset()
      guard try findChannel.bind(1, name).step() else { throw .unavailable("a channel that was just added is missing") }
    }
    let (id, epoch, next) = (findChannel.integer(0), findChannel.text(1) ?? "", UInt64(clamping: findChannel.integer(2)))
    try setRetention.bind(1, retention.age.milliseconds).bind(2, id).run()
    set(name, try measured(id, next, retention))
    return StoredHistory(
      epoch: epoch, messages: try readHistory(name, id, retention, now), nextOffset: next, keys: try readKeys(id))
  }

  private func measured(_ id: Int64, _ next: UInt64, _ retention: Retention) throws(StorageError) -> Channel {
    defer { measure.reset() }
    _ = try measure.bind(1, id).step()
    return Channel(
      id: id, next: next, retention: retention, count: Int(clamping: measure.integer(0)), bytes: Int(clamping: measure.integer(1)))
  }

  /// The newest that retention allows: what is on the disk may be more.
  private func readHistory(_ name: String, _ id: Int64, _ retention: Retention, _ now: Int64) throws(StorageError) -> [StoredMessage] {
    history.bind(1, id).bind(2, Int64(retention.messages))
    defer { history.reset() }
    var messages: [StoredMessage] = []
    var bytes = 0
    while try history.step() {
      bytes += Int(clamping: history.integer(6))
      let time = history.integer(1)
      guard bytes <= retention.bytes, now &- time <= retention.age.milliseconds else { break }
      messages.append(
        StoredMessage(
          channel: name, offset: UInt64(clamping: history.integer(0)), time: time, kind: history.text(2) ?? "",
          type: history.text(3) ?? "", event: history.text(4) ?? "", payload: history.bytes(5), user: history.text(7)))
    }
    messages.reverse()
    try readKeys(id, into: &messages)
    return messages
  }

  /// The keys of messages that are still there.
  private func readKeys(_ id: Int64, into messages: inout [StoredMessage]) throws(StorageError) {
    let byOffset = Dictionary(uniqueKeysWithValues: try readKeys(id).map { ($0.offset, $0.key) })
    guard !byOffset.isEmpty else { return }
    for index in messages.indices { messages[index].key = byOffset[messages[index].offset] }
  }

  private func readKeys(_ id: Int64) throws(StorageError) -> [StoredHistory.Key] {
    keys.bind(1, id).bind(2, Int64(Self.keptKeys))
    defer { keys.reset() }
    var result: [StoredHistory.Key] = []
    while try keys.step() { result.append(StoredHistory.Key(key: keys.text(1) ?? "", offset: UInt64(clamping: keys.integer(0)))) }
    return result.reversed()
  }

  // MARK: Appending

  /// All of them or none. Misuse is found before anything is written.
  internal func append(_ messages: [StoredMessage]) throws(StorageError) {
    var next: [String: UInt64] = [:]
    for message in messages {
      guard let expected = next[message.channel] ?? channels[message.channel]?.next else {
        throw .misuse("the channel \(message.channel) is not open")
      }
      guard message.offset >= expected, message.offset < UInt64(Int64.max) else {
        throw .misuse("offset \(message.offset) of \(message.channel) is not behind \(expected)")
      }
      next[message.channel] = message.offset + 1
    }
    for message in messages { try insert(message) }
    for (name, offset) in next {
      guard var channel = channels[name] else { continue }
      channel.next = offset
      set(name, channel)
      try setNext.bind(1, Int64(clamping: offset)).bind(2, channel.id).run()
    }
  }

  private func insert(_ message: StoredMessage) throws(StorageError) {
    guard var channel = channels[message.channel] else { return }
    let (id, offset) = (channel.id, Int64(clamping: message.offset))
    insertMessage.bind(1, id).bind(2, offset).bind(3, message.time).bind(4, message.kind).bind(5, message.type)
    insertMessage.bind(6, message.event).bind(7, message.payload).bind(8, Int64(message.size))
    try insertMessage.bind(9, message.user).run()
    if let key = message.key { try insertKey.bind(1, id).bind(2, offset).bind(3, key).bind(4, message.time).run() }
    channel.count += 1
    channel.bytes += message.size
    set(message.channel, channel)
  }

  // MARK: Retention

  /// Cuts channels that hold clearly more than they may; called with each batch, so it does a bounded amount of work.
  internal func trim(_ names: Set<String>, now: Int64) throws(StorageError) {
    for name in names {
      guard let channel = channels[name] else { continue }
      let (messages, bytes) = (channel.retention.messages, channel.retention.bytes)
      guard channel.count > messages + 64 + messages / 8 || channel.bytes > bytes + 65_536 + bytes / 8 else { continue }
      try trim(name, now: now)
    }
  }

  /// The next few channels in turn, open or not. True when one of them has more to cut.
  internal func sweep(now: Int64) throws(StorageError) -> Bool {
    var rows: [(id: Int64, name: String, age: Int64)] = []
    listChannels.bind(1, swept).bind(2, Int64(Self.sweptChannels))
    while try listChannels.step() { rows.append((listChannels.integer(0), listChannels.text(1) ?? "", listChannels.integer(2))) }
    listChannels.reset()
    var hasMore = false
    for row in rows {
      if channels[row.name] != nil {
        hasMore = try trim(row.name, now: now) || hasMore
      } else {
        let limit = Retention(messages: .max, age: .milliseconds(Int(clamping: row.age)), bytes: .max)
        hasMore = try cutFront(Channel(id: row.id, next: 0, retention: limit, count: 0, bytes: 0), now).isFull || hasMore
      }
      try cutKeys.bind(1, row.id).run()
      try expireKeys.bind(1, row.id).bind(2, now &- Self.keyAge.milliseconds).run()
    }
    if !hasMore { swept = rows.count < Self.sweptChannels ? 0 : rows.last?.id ?? 0 }
    try database.run("PRAGMA incremental_vacuum(64)")
    return hasMore
  }

  @discardableResult private func trim(_ name: String, now: Int64) throws(StorageError) -> Bool {
    guard var channel = channels[name] else { return false }
    let result = try cutFront(channel, now)
    channel.count -= result.rows
    channel.bytes -= result.bytes
    set(name, channel)
    return result.isFull
  }

  /// Deletes from the oldest on, at most `trimRows`.
  private func cutFront(_ channel: Channel, _ now: Int64) throws(StorageError) -> (rows: Int, bytes: Int, isFull: Bool) {
    var (count, bytes, rows, last) = (channel.count, channel.bytes, 0, Int64(-1))
    front.bind(1, channel.id).bind(2, Int64(Self.trimRows))
    while try front.step() {
      let size = Int(clamping: front.integer(2))
      let isOld = now &- front.integer(1) > channel.retention.age.milliseconds
      guard isOld || count > channel.retention.messages || bytes > channel.retention.bytes else { break }
      last = front.integer(0)
      rows += 1
      count -= 1
      bytes -= size
    }
    front.reset()
    if rows > 0 { try cut.bind(1, channel.id).bind(2, last).run() }
    return (rows, channel.bytes - bytes, rows == Self.trimRows)
  }
}
