/// Why the store did not do what it was asked. Nothing here ends the process: a channel without its store goes on as the hub
/// decides, and the operator reads one line about it.
package enum StorageError: Error, Equatable, Sendable {
  /// Another process has the file open.
  case locked(String)
  /// The file is no database, or a damaged one. It is never repaired or replaced without being told to.
  case corrupted(String)
  /// No room on the disk.
  case full(String)
  /// The file was written by a newer Martlet.
  case newerSchema(found: Int, known: Int)
  /// Any other failure of the disk or of SQLite, in its words.
  case unavailable(String)
  /// More waits for the disk than may; the message was not taken.
  case overloaded
  /// The channel was not opened, or an offset is not behind those that are stored.
  case misuse(String)
  case closed
}

extension StorageError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .locked(let path): "\(path) is in use by another process: only one server may have it open"
    case .corrupted(let reason): "the message store is damaged (\(reason)): restore it, or move it away to begin with an empty one"
    case .full(let reason): "no room on the disk for the message store (\(reason))"
    case .newerSchema(let found, let known):
      "the message store has version \(found) and this server knows versions up to \(known): run the newer server again"
    case .unavailable(let reason): "the message store failed: \(reason)"
    case .overloaded: "more messages wait for the disk than may"
    case .misuse(let reason): reason
    case .closed: "the message store is closed"
    }
  }
}
