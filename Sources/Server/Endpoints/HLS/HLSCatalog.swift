package import MartletIO
internal import MartletMedia
package import MartletPrimitives
internal import Synchronization

/// The presentations of all streams that are being cut into segments, and of those that ended a short while ago: the one
/// table that all workers share. It is asked once for each request, never for a frame.
package final class HLSCatalog: Sendable {
  private struct State {
    var presentations: [StreamPath: HLSPresentation] = [:]
    /// Workers with requests that wait for a first segment.
    var awaited: [StreamPath: Set<Int>] = [:]
    /// Viewers that an administrator closed, until when.
    var blocked: [HLSViewerKey: Instant] = [:]
    var epochs = 0
    var version = 0
  }

  private let state = Mutex(State())
  private let loops: [EventLoop]
  private let start: WallTime
  private let random: UInt32

  /// - Parameters:
  ///   - start: the server's start, and
  ///   - random: a number at random: together they keep names of segments from ever being given twice.
  package init(loops: [EventLoop], start: WallTime, random: UInt32) {
    self.loops = loops
    self.start = start
    self.random = random
  }

  internal func nextEpoch() -> String {
    let count = state.withLock { state in
      state.epochs += 1
      return state.epochs
    }
    return HLSAddress.epoch(start: start, random: random, count: count)
  }

  internal func presentation(_ path: StreamPath) -> HLSPresentation? { state.withLock { $0.presentations[path] } }

  /// Replaces a stream's presentation, and tells the workers whose requests wait for it when it is ready.
  /// - Returns: its version.
  @discardableResult internal func publish(_ presentation: HLSPresentation, of path: StreamPath) -> Int {
    let (version, waiting) = state.withLock { state in
      state.version += 1
      state.presentations[path] = presentation
      state.presentations[path]?.version = state.version
      return (state.version, presentation.isReady ? state.awaited.removeValue(forKey: path) ?? [] : [])
    }
    for index in waiting where index < loops.count {
      loops[index].post { $0.service(HLSEndpoint.self).presentationIsReady(path) }
    }
    return version
  }

  /// Forgets a presentation, unless it changed since `version`; false then.
  internal func remove(_ path: StreamPath, version: Int) -> Bool {
    state.withLock { state in
      guard state.presentations[path]?.version == version else { return false }
      state.presentations[path] = nil
      return true
    }
  }

  // MARK: Waiting

  internal func await(_ path: StreamPath, worker: Int) { state.withLock { _ = $0.awaited[path, default: []].insert(worker) } }

  internal func stopAwaiting(_ path: StreamPath, worker: Int) {
    state.withLock { state in
      state.awaited[path]?.remove(worker)
      if state.awaited[path]?.isEmpty ?? false { state.awaited[path] = nil }
    }
  }

  internal func isAwaited(_ path: StreamPath) -> Bool { state.withLock { $0.awaited[path] != nil } }

  // MARK: Viewers that were closed

  internal func block(_ viewer: HLSViewerKey, now: Instant, until: Instant) {
    state.withLock { state in
      state.blocked = state.blocked.filter { $0.value > now }
      state.blocked[viewer] = until
    }
  }

  internal func isBlocked(_ viewer: HLSViewerKey, now: Instant) -> Bool {
    state.withLock { state in !state.blocked.isEmpty && state.blocked[viewer].map { $0 > now } ?? false }
  }
}
