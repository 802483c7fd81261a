internal import MartletPrimitives
internal import Synchronization

/// Which worker is a stream's home, and who publishes it: the one table that all workers share. It is asked when a publisher
/// or the first viewer of a name comes, never per frame.
package final class StreamDirectory: Sendable {
  internal struct Publisher {
    let publication: UInt64
    let worker: Int
  }

  internal struct Entry {
    let home: Int
    var publisher: Publisher?
  }

  internal struct Claim {
    let publication: UInt64
    let home: Int
    /// The publisher that was there, to be told.
    let replaced: Publisher?
  }

  private struct State {
    var entries: [StreamPath: Entry] = [:]
    var nextPublication: UInt64 = 1
  }

  private let state = Mutex(State())

  package init() {}

  package var count: Int { state.withLock { $0.entries.count } }

  internal func home(of path: StreamPath) -> Int? { state.withLock { $0.entries[path]?.home } }

  package func hasPublisher(_ path: StreamPath) -> Bool { state.withLock { $0.entries[path]?.publisher != nil } }

  /// Takes the publisher's place, if the policy allows.
  internal func claim(_ path: StreamPath, worker: Int, _ configuration: StreamConfiguration) throws(PublishError) -> Claim {
    let result: Result<Claim, PublishError> = state.withLock { state in
      let entry = state.entries[path]
      if entry?.publisher != nil, configuration.takeover == .reject { return .failure(.taken(path)) }
      if entry == nil, state.entries.count >= configuration.maximumStreams {
        return .failure(.tooManyStreams(limit: configuration.maximumStreams))
      }
      let publication = state.nextPublication
      state.nextPublication += 1
      let home = entry?.home ?? worker
      state.entries[path] = Entry(home: home, publisher: Publisher(publication: publication, worker: worker))
      return .success(Claim(publication: publication, home: home, replaced: entry?.publisher))
    }
    return try result.get()
  }

  /// The publisher left, unless another one has taken its place.
  internal func release(_ path: StreamPath, publication: UInt64) {
    state.withLock { state in
      if state.entries[path]?.publisher?.publication == publication { state.entries[path]?.publisher = nil }
    }
  }

  /// Forgets a stream without publisher; false when it has one again.
  internal func remove(_ path: StreamPath) -> Bool {
    state.withLock { state in
      guard let entry = state.entries[path], entry.publisher == nil else { return false }
      state.entries[path] = nil
      return true
    }
  }
}

/// Why somebody may not publish. The description is for the person at the encoder.
package enum PublishError: Error, Equatable, Sendable, CustomStringConvertible {
  case taken(StreamPath)
  case tooManyStreams(limit: Int)
  case reserved(String)

  package var description: String {
    switch self {
    case .taken(let path): "\(path) is being published already (streams.takeover: replace would let you take over)"
    case .tooManyStreams(let limit): "\(limit) streams are open (streams.maximum)"
    case .reserved(let why): why
    }
  }
}
