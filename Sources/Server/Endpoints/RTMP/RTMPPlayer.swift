internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import MartletRTMP

/// The playing half of an RTMP connection: a cursor into the stream's ring of RTMP messages.
///
///     waiting ──the stream is live──▶ playing ──unpublished──▶ waiting (the connection stays; the next publisher goes on)
internal final class RTMPPlayer: RingReaderOwner {
  internal let streamID: UInt32
  private let reset: Bool
  private unowned let session: RTMPConnection
  private var hasBegun = false

  internal init(_ session: RTMPConnection, request: PlayRequest, client: ClientInfo) {
    self.session = session
    streamID = request.streamID
    reset = request.reset
    let ring = session.listener.admission.hub.ring(client.path, RTMPFormat.format(streamID: streamID))
    reader = RingReader(ring: ring, client: client, sink: session.connection)
    reader.owner = self
  }

  internal let reader: RingReader

  /// Plays as soon as there is something; a name that nobody publishes in time is refused.
  internal func wait() {
    reader.wait()
    guard !hasBegun else { return }
    session.context.schedule(after: session.listener.admission.hub.configuration.waitForPublisher) { [weak self] in
      guard let self, !self.hasBegun, self.session.player === self else { return }
      self.session.session.rejectPlay(self.streamID, description: "Nobody publishes \(self.reader.client.path).")
      self.session.stopPlaying()
      self.session.drain()
    }
  }

  internal func stop() { reader.stop() }

  // MARK: RingReaderOwner

  internal func readerDidBegin(_ reader: RingReader) {
    if hasBegun {
      session.session.publishNotify(streamID)
    } else {
      hasBegun = true
      session.session.acceptPlay(streamID, reset: reset)
    }
    session.drain()
    reader.start()
  }

  internal func readerDidEnd(_ reader: RingReader, _ reason: EndReason) {
    if case .unsupported(let error) = reason { return session.fail("\(reader.client.path): \(error)") }
    session.session.unpublishNotify(streamID)
    session.session.playEnded(streamID)
    session.drain()
  }

  internal func readerWasKicked(_ reader: RingReader, _ reason: KickReason) {
    session.context.log(.info, "rtmp", "\(reader.client.path): viewer closed: \(reason)", ["client": reader.client.id])
    session.connection.close()
  }
}
