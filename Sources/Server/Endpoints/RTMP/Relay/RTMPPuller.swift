internal import MartletClient
internal import MartletCodecs
internal import MartletContainers
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import MartletRTMP

/// Fetches one stream from its origin while somebody here watches it.
///
///     asked for ──▶ connecting ──▶ live ──nobody watches for a while──▶ gone
///                       ▲            │
///                       └──back-off──┘ the origin left; viewers are kept for the stream's grace period
internal final class RTMPPuller: RTMPLinkOwner, PublicationOwner {
  internal let path: StreamPath
  private let target: RTMPTarget
  private let relay: RTMPRelay
  private var link: RTMPLink?
  private var publication: Publication?
  /// Where the messages come from; `nil` when there is no connection.
  private var origin: SocketAddress?
  private var ingest = FLVIngest()
  /// When somebody last watched or asked.
  private var lastWanted: Instant
  private var lastMessage: Instant
  private var timer: SlabID?
  private var failures = 0

  internal init(_ path: StreamPath, _ target: RTMPTarget, _ relay: RTMPRelay) {
    self.path = path
    self.target = target
    self.relay = relay
    lastWanted = relay.admission.context.now
    lastMessage = lastWanted
  }

  private var context: LoopContext { relay.admission.context }
  private var hub: MediaHub { relay.admission.hub }

  internal func begin() {
    link = RTMPLink(target, .play(start: -1), relay, owner: self)
    link?.start()
    watch()
  }

  internal func wasAskedFor() { lastWanted = context.now }

  internal func stop() {
    if let timer { context.cancel(timer) }
    unpublish()
    exchange(&link, with: nil)?.stop()
    relay.didEnd(self)
  }

  private func log(_ level: LogLevel, _ text: String) {
    context.log(level, "rtmp", "\(path): \(text)", ["origin": target.description])
  }

  private func unpublish() {
    guard let publication = exchange(&publication, with: nil) else { return }
    publication.finish()
    relay.admission.access.sessionDidEnd(publication.client)
  }

  /// Once a second: is it still wanted, and does it still come?
  private func watch() {
    timer = context.schedule(after: .seconds(1)) { [weak self] in
      guard let self else { return }
      let now = self.context.now
      if self.hub.localStream(self.path)?.isWatched == true { self.lastWanted = now }
      // A viewer who waits for a stream that has not begun is seen only when asking.
      let patience = self.publication == nil ? self.hub.configuration.waitForPublisher : self.relay.configuration.idle
      if now - self.lastWanted >= patience {
        self.log(.info, self.publication == nil ? "the origin has no such stream" : "is no longer pulled: nobody watches")
        return self.stop()
      }
      if self.publication != nil, self.origin != nil, now - self.lastMessage >= self.relay.configuration.silence {
        self.link?.fail("nothing came for \(self.relay.configuration.silence.seconds) s")
      }
      self.watch()
    }
  }

  // MARK: RTMPLinkOwner

  internal func linkDidStart(_ link: RTMPLink, on client: RTMPClientConnection) {
    origin = client.connection.remote
    lastMessage = context.now
    failures = 0
    ingest = FLVIngest()
  }

  /// Publishes with the first message: many servers say that they play a stream that does not exist yet.
  internal func link(_ link: RTMPLink, didReceive message: RTMPMessage) {
    lastMessage = context.now
    guard !message.payload.isEmpty, let kind = FLVTag.Kind(rawValue: message.type.rawValue), let publication = published() else { return }
    do throws(ParseError) {
      if let notice = try ingest.receive(kind, timestamp: message.timestamp, body: message.payload, into: publication) {
        log(.warning, notice)
      }
    } catch {
      link.fail("\(message.type) message: \(error)")
    }
  }

  private func published() -> Publication? {
    if let publication { return publication }
    guard let origin else { return nil }
    let info = ClientInfo(
      id: hub.nextClientID(), role: .publisher, transport: "rtmp-pull", path: path, remote: origin, since: context.wallTime)
    do throws(PublishError) {
      publication = try hub.publish(info, owner: self)
    } catch {
      log(.info, "is not pulled: \(error)")
      self.origin = nil
      context.atEndOfTurn { self.stop() }
      return nil
    }
    relay.admission.access.sessionDidBegin(info)
    log(.info, "is pulled")
    return publication
  }

  internal func linkDidEnd(_ link: RTMPLink, _ reason: String) -> Bool {
    unpublish()
    origin = nil
    failures += 1
    log(failures <= 2 ? .warning : .debug, "pulling stopped, will try again: \(reason)")
    return true
  }

  // MARK: PublicationOwner

  internal func publicationWasRevoked(_ publication: Publication, _ reason: KickReason) {
    log(.info, "pulling ended: \(reason)")
    context.atEndOfTurn { self.stop() }
  }
}
