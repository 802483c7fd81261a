internal import MartletCodecs
internal import MartletCrypto
package import MartletIO
internal import MartletHTTP
internal import MartletMedia
internal import MartletPrimitives
internal import MartletTranscode
internal import MartletWeb

/// Pictures of the streams whose home is this worker: one for each key frame that was asked for, made once for all who ask.
package final class Snapshots {
  /// What names a key frame for as long as its stream lives.
  private struct KeyFrame: Equatable {
    let publishes: Int
    let dts: Int64
  }

  private enum State {
    case pending([HeldExchange])
    case done(StaticContent)
    case failed(String)
  }

  private struct Entry {
    let keyFrame: KeyFrame
    var state: State
  }

  private let context: LoopContext
  private let pool: ThreadPool
  private var entries: [StreamPath: Entry] = [:]

  /// - Parameter pool: where pictures are made; its limit bounds how many wait.
  package init(_ context: LoopContext, pool: ThreadPool) {
    self.context = context
    self.pool = pool
  }

  /// Answers `ticket` with the stream's last key frame, at once or when the picture is made.
  internal func answer(_ ticket: HeldExchange, _ stream: Stream?, _ path: StreamPath) {
    guard let stream, stream.isLive else { return ticket.refuse(.notFound, "nobody publishes \(path)") }
    guard let track = stream.formats.firstIndex(where: { $0.kind == .video }) else {
      if stream.isSettled { return ticket.refuse(406, "\(path) has no video") }
      return ticket.refuse(.serviceUnavailable, "\(path) has just begun", retryAfter: 1)
    }
    guard let frame = stream.cachedFrames.first(where: { Int($0.track) == track && $0.isKey }) else {
      return ticket.refuse(.serviceUnavailable, "\(path) has no key frame at hand", retryAfter: 1)
    }
    let keyFrame = KeyFrame(publishes: stream.statistics.publishes, dts: frame.dts)
    switch entries[path]?.state {
    // Whoever asks while a picture is made gets that one, also if a newer key frame has come.
    case .pending(let others): entries[path]?.state = .pending(others + [ticket])
    case .done(let picture) where entries[path]?.keyFrame == keyFrame: ticket.answer { picture.respond($0) }
    case .failed(let reason) where entries[path]?.keyFrame == keyFrame: ticket.refuse(406, reason)
    default: make(keyFrame, frame, stream.formats[track], path, for: ticket)
    }
  }

  private func make(_ keyFrame: KeyFrame, _ frame: Frame, _ format: TrackFormat, _ path: StreamPath, for ticket: HeldExchange) {
    #if Transcoding
      let loop = context.loop
      let accepted = pool.submit {
        let result: Result<StaticContent, FFmpegError>
        do throws(FFmpegError) { result = .success(Self.content(try Snapshot().jpeg(frame, format))) } catch { result = .failure(error) }
        loop.post { $0.service(Snapshots.self).didMake(path, result.mapError { SnapshotError(description: $0.description) }) }
      }
      guard accepted else { return ticket.refuse(.serviceUnavailable, "too many pictures are being made", retryAfter: 2) }
      entries[path] = Entry(keyFrame: keyFrame, state: .pending([ticket]))
    #else
      ticket.refuse(501, "this server was built without the trait Transcoding")
    #endif
  }

  private static func content(_ jpeg: Slice) -> StaticContent {
    let tag = Hex.encode(Digest.hash(.sha256, jpeg.array).prefix(8))
    return StaticContent(jpeg, contentType: "image/jpeg", etag: tag, caching: "no-cache")
  }

  private func didMake(_ path: StreamPath, _ result: Result<StaticContent, SnapshotError>) {
    guard case .pending(let tickets) = entries[path]?.state else { return }
    switch result {
    case .success(let picture):
      entries[path]?.state = .done(picture)
      for ticket in tickets { ticket.answer { picture.respond($0) } }
    case .failure(let error):
      let reason = "no picture of \(path): \(error.description)"
      context.log(.warning, "snapshot", reason)
      entries[path]?.state = .failed(reason)
      for ticket in tickets { ticket.refuse(406, reason) }
    }
    forgetLater(path)
  }

  /// A picture is kept for as long as the next requests are likely to ask for the same key frame.
  private func forgetLater(_ path: StreamPath) {
    guard let keyFrame = entries[path]?.keyFrame else { return }
    context.schedule(after: .seconds(10)) { [weak self] in
      guard let self, let entry = self.entries[path], entry.keyFrame == keyFrame else { return }
      if case .pending = entry.state { return }
      self.entries[path] = nil
    }
  }
}

private struct SnapshotError: Error {
  let description: String
}

extension HeldExchange {
  /// Answers with an error, soon, on the exchange's loop.
  /// - Parameter retryAfter: seconds.
  internal func refuse(_ status: HTTPStatus, _ reason: String, retryAfter: Int? = nil) {
    answer { exchange in
      if let retryAfter { exchange.responseFields.append("Retry-After", String(retryAfter)) }
      exchange.refuse(status, reason)
    }
  }
}
