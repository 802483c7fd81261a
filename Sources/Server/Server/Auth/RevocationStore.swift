package import MartletPrimitives
internal import Synchronization

/// Keeps revocations over a restart, in the state folder: a token that was taken away must not come back with the server.
package final class RevocationStore: Sendable {
  private let path: String
  private let log: Log
  /// How many were saved, under the lock that keeps an older state from overwriting a newer one.
  private let saved = Mutex(0)

  /// - Parameter folder: empty keeps nothing.
  package init(folder: String, log: Log) {
    path = folder.isEmpty ? "" : folder + "/revocations.json"
    self.log = log
  }

  package func load() -> Revocations {
    guard !path.isEmpty, SmallFile.exists(path) else { return Revocations() }
    do {
      var limits = JSONLimits()
      (limits.bytes, limits.values) = (SmallFile.limit * 16, Revocations.limit * 2 + 10)
      return Revocations(try JSON(parsing: try SmallFile.read(path, limit: limits.bytes), limits: limits))
    } catch {
      log(.error, "auth", "revocations are lost: \(path): \(error)")
      return Revocations()
    }
  }

  /// Writes on a thread that is no worker's.
  package func save(_ revocations: Revocations) {
    guard !path.isEmpty else { return }
    Task.detached { [self] in
      saved.withLock { count in
        guard revocations.count > count else { return }
        do throws(FileError) {
          try SmallFile.writePrivately(revocations.json.serialized, to: path)
          count = revocations.count
        } catch {
          log(.error, "auth", "the revocation does not survive a restart: \(error) (state)")
        }
      }
    }
  }
}

extension Revocations {
  package init(_ json: JSON) {
    self.init()
    for token in json["tokens"]?.arrayValue ?? [] { if let token = token.stringValue { revoke(token: token) } }
    for member in json["users"]?.objectValue?.members ?? [] {
      if let time = member.value.intValue { revoke(user: member.name, at: WallTime(milliseconds: time)) }
    }
  }
}
