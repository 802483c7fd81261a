internal import CSQLite
internal import MartletPrimitives

/// One connection to SQLite, used by one thread at a time. Every call that can fail says how.
internal final class Database {
  private var handle: OpaquePointer?
  private let path: String
  /// Finalised with the connection: an open statement would keep the file locked.
  private var statements: [OpaquePointer] = []

  internal init(path: String) throws(StorageError) {
    self.path = path
    // Without SQLite's own locks: the writer has the connection to itself.
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    let code = sqlite3_open_v2(path, &handle, flags, nil)
    guard code == SQLITE_OK else {
      let error = failure(code)
      close()
      throw error
    }
  }

  deinit { close() }

  internal func close() {
    for statement in exchange(&statements, with: []) { sqlite3_finalize(statement) }
    if let open = exchange(&handle, with: nil) { sqlite3_close(open) }
  }

  internal func run(_ sql: String) throws(StorageError) {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    guard code == SQLITE_OK else { throw failure(code) }
  }

  internal func prepare(_ sql: String) throws(StorageError) -> Statement {
    var statement: OpaquePointer?
    let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
    guard code == SQLITE_OK, let statement else { throw failure(code) }
    statements.append(statement)
    return Statement(statement, of: self)
  }

  /// The first column of the first row.
  internal func integer(_ sql: String) throws(StorageError) -> Int64 {
    let statement = try prepare(sql)
    defer { statement.reset() }
    return try statement.step() ? statement.integer(0) : 0
  }

  /// How long to wait for another process to let go of the file.
  internal func wait(milliseconds: Int32) { sqlite3_busy_timeout(handle, milliseconds) }

  /// Rows that the last statement changed.
  internal var changes: Int { Int(sqlite3_changes64(handle)) }

  /// SQLite ends a transaction itself after some failures.
  internal var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

  internal func failure(_ code: Int32) -> StorageError {
    let text = handle.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
    switch code & 0xFF {
    case SQLITE_BUSY, SQLITE_LOCKED: return .locked(path)
    case SQLITE_CORRUPT, SQLITE_NOTADB: return .corrupted(text)
    case SQLITE_FULL: return .full(text)
    default: return .unavailable("\(text) (\(path), code \(code))")
    }
  }
}

/// A prepared statement, of use until its connection is closed. Binds by position from 1, reads columns by position from 0, as
/// SQLite has it.
internal final class Statement {
  private let statement: OpaquePointer
  /// Keeps the connection open for as long as its statements.
  private let database: Database

  internal init(_ statement: OpaquePointer, of database: Database) {
    self.statement = statement
    self.database = database
  }

  @discardableResult internal func bind(_ index: Int32, _ value: Int64) -> Statement {
    sqlite3_bind_int64(statement, index, value)
    return self
  }

  @discardableResult internal func bind(_ index: Int32, _ text: String?) -> Statement {
    guard var text else {
      sqlite3_bind_null(statement, index)
      return self
    }
    text.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) {
        _ = martlet_sqlite_bind_text(statement, index, $0.baseAddress, Int32(clamping: $0.count))
      }
    }
    return self
  }

  @discardableResult internal func bind(_ index: Int32, _ bytes: Slice) -> Statement {
    bytes.withUnsafeBytes { buffer in
      // A null address would bind NULL instead of nothing.
      if let start = buffer.baseAddress, buffer.count > 0 {
        _ = martlet_sqlite_bind_blob(statement, index, start, Int32(clamping: buffer.count))
      } else {
        sqlite3_bind_zeroblob(statement, index, 0)
      }
    }
    return self
  }

  /// True when there is a row to read.
  internal func step() throws(StorageError) -> Bool {
    switch sqlite3_step(statement) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    case let code: throw database.failure(code)
    }
  }

  /// Runs a statement that answers no rows, and makes it ready for the next time.
  internal func run() throws(StorageError) {
    defer { reset() }
    _ = try step()
  }

  /// Must follow every use that ends before the last row: an open read keeps the log of changes from being folded in.
  internal func reset() {
    sqlite3_reset(statement)
    sqlite3_clear_bindings(statement)
  }

  internal func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

  internal func text(_ column: Int32) -> String? {
    guard let bytes = sqlite3_column_text(statement, column) else { return nil }
    return String(decoding: UnsafeBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(statement, column))), as: UTF8.self)
  }

  internal func bytes(_ column: Int32) -> Slice {
    guard let start = sqlite3_column_blob(statement, column) else { return Slice() }
    return Slice(Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))))
  }
}
