internal import MartletClient
internal import MartletCodecs
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import MartletRTMP

/// Publishes one of our streams on another server for as long as it is live. It reads like any viewer, from the ring of RTMP
/// messages, so a slow target skips to the next key frame and costs nobody else anything.
///
/// While our publisher is away for less than the grace period the target's stream stays open.
internal final class RTMPForwarder: RTMPLinkOwner, RingReaderOwner, FrameConsumer {
  private let stream: Stream
  private let relay: RTMPRelay
  private var link: RTMPLink?
  private let target: RTMPTarget
  private var reader: RingReader?
  private var failures = 0
  /// The link waits for the publisher to come back.
  private var awaitsMedia = true

  internal init(_ stream: Stream, _ target: RTMPTarget, _ relay: RTMPRelay) {
    self.stream = stream
    self.target = target
    self.relay = relay
  }

  internal func begin() {
    link = RTMPLink(target, .publish(), relay, owner: self)
    stream.add(self)
  }

  internal func stop() {
    stream.remove(self)
    exchange(&link, with: nil)?.stop()
    stopReading()
    relay.didEnd(self)
  }

  private func stopReading() {
    guard let reader = exchange(&reader, with: nil) else { return }
    reader.stop()
    relay.admission.access.sessionDidEnd(reader.client)
  }

  private func log(_ level: LogLevel, _ text: String) {
    relay.admission.context.log(level, "rtmp", "\(stream.path): \(text)", ["target": target.description])
  }

  // MARK: FrameConsumer

  internal func streamDidConfigure(_ stream: Stream, _ content: StreamContent) { connectIfAwaited() }
  internal func stream(_ stream: Stream, didReceive frame: Frame) { connectIfAwaited() }
  internal func streamDidPause(_ stream: Stream) {}
  internal func streamDidEnd(_ stream: Stream) { relay.admission.context.atEndOfTurn { self.stop() } }

  private func connectIfAwaited() {
    guard awaitsMedia else { return }
    awaitsMedia = false
    link?.start()
  }

  // MARK: RTMPLinkOwner

  internal func linkDidStart(_ link: RTMPLink, on client: RTMPClientConnection) {
    failures = 0
    log(.info, "is forwarded")
    let admission = relay.admission
    let info = ClientInfo(
      id: admission.hub.nextClientID(), role: .viewer, transport: "rtmp-forward", path: stream.path, remote: client.connection.remote,
      since: admission.context.wallTime)
    let ring = admission.hub.ring(stream.path, RTMPFormat.publishing(streamID: client.streamID))
    let reader = RingReader(ring: ring, client: info, sink: client.connection)
    reader.owner = self
    self.reader = reader
    admission.access.sessionDidBegin(info)
    reader.wait()
  }

  internal func link(_ link: RTMPLink, didReceive message: RTMPMessage) {}

  internal func linkDidEnd(_ link: RTMPLink, _ reason: String) -> Bool {
    stopReading()
    failures += 1
    // A target that stays away is one line, not one for each try.
    log(failures <= 2 ? .warning : .debug, "forwarding stopped, will try again: \(reason)")
    guard stream.isLive else {
      awaitsMedia = true
      return false
    }
    return true
  }

  // MARK: RingReaderOwner

  internal func readerDidBegin(_ reader: RingReader) { reader.start() }

  internal func readerDidEnd(_ reader: RingReader, _ reason: EndReason) {
    guard case .unsupported(let error) = reason else { return }
    log(.warning, "cannot be forwarded: \(error)")
    relay.admission.context.atEndOfTurn { self.stop() }
  }

  internal func readerWasKicked(_ reader: RingReader, _ reason: KickReason) {
    switch reason {
    case .stuck: link?.fail("the target \(reason)")
    case .administrator, .expired:
      log(.info, "forwarding ended: \(reason)")
      relay.admission.context.atEndOfTurn { self.stop() }
    }
  }
}
