internal import MartletCodecs
internal import MartletCrypto
internal import MartletHTTP
internal import MartletICE
package import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSDP
package import MartletWeb
internal import MartletWebRTC

/// WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): `POST /APP/NAME/whip` publishes what an SDP offer describes, `/whep` watches.
/// The session is a resource below: PATCH trickles candidates or restarts ICE, DELETE ends it.
package final class WHIPEndpoint {
  private enum Kind: String { case whip, whep }

  /// What a path means.
  private struct Address {
    let kind: Kind
    let path: StreamPath
    /// `nil` where sessions are made.
    let session: String?
  }

  private let admission: Admission
  internal let listener: WebRTCListener
  private let loops: [EventLoop]
  private let held: HeldExchanges
  /// Viewers whose stream has not shown its tracks yet.
  private var joins: [ObjectIdentifier: WHEPJoin] = [:]

  package init(_ admission: Admission, _ listener: WebRTCListener, loops: [EventLoop], _ held: HeldExchanges) {
    self.admission = admission
    self.listener = listener
    self.loops = loops
    self.held = held
  }

  private var context: LoopContext { admission.context }

  /// Takes the request when its path is one of those.
  package func handle(_ exchange: HTTPExchange) -> Bool {
    guard let address = Self.address(exchange.request.target.path) else { return false }
    switch (exchange.request.method, address.session) {
    case (.post, nil): open(exchange, address)
    case (.patch, let id?): change(exchange, id)
    case (.delete, let id?): close(exchange, id)
    case (.options, _):
      exchange.responseFields.append("Accept-Post", "application/sdp")
      exchange.responseFields.append("Accept-Patch", TrickleFragment.mediaType)
      addLinks(exchange)
      exchange.respond(.noContent)
    default:
      exchange.responseFields.append("Allow", address.session == nil ? "POST, OPTIONS" : "PATCH, DELETE, OPTIONS")
      exchange.refuse(.methodNotAllowed, "an SDP offer is sent here by POST; the session that it makes takes PATCH and DELETE")
    }
    return true
  }

  private static func hasContent(_ exchange: HTTPExchange, _ type: String) -> Bool {
    MediaType.essence(of: exchange.request.fields.first("Content-Type") ?? "") == type
  }

  private static func address(_ text: String) -> Address? {
    var segments = text.split(separator: "/")
    var session: String?
    if segments.count > 1, Kind(rawValue: String(segments[segments.count - 2])) != nil { session = String(segments.removeLast()) }
    guard let kind = segments.popLast().flatMap({ Kind(rawValue: String($0)) }),
      let path = try? StreamPath(segments.joined(separator: "/"))
    else { return nil }
    return Address(kind: kind, path: path, session: session)
  }

  // MARK: Opening

  private func open(_ exchange: HTTPExchange, _ address: Address) {
    guard Self.hasContent(exchange, "application/sdp") else {
      return exchange.refuse(.unsupportedMediaType, "an SDP offer is expected, with Content-Type: application/sdp")
    }
    guard hasRoom(exchange) else { return }
    let request = exchange.accessRequest(address.kind == .whip ? .publish : .play, on: address.path.text, transport: address.kind.rawValue)
    admission.ask(request, path: address.path) { [self] result in
      guard !exchange.isFinished else { return }
      switch result {
      case .failure(let refusal): exchange.deny(request, refusal.reason, isFinal: refusal.isFinal)
      case .success(let client):
        exchange.collectBody(limit: Self.maximumOffer) { [self] body in
          let offer = String(decoding: body, as: UTF8.self)
          if address.kind == .whip { publish(exchange, offer, client) } else { watch(exchange, offer, client) }
        }
      }
    }
  }

  /// Answers the exchange when there can be no further session.
  internal func hasRoom(_ exchange: HTTPExchange) -> Bool {
    guard listener.socket != nil else {
      exchange.refuse(.serviceUnavailable, "this server has no WebRTC port (listeners.webrtc is off)")
      return false
    }
    guard listener.sessions.count < listener.configuration.sessions else {
      exchange.responseFields.append("Retry-After", "5")
      exchange.refuse(.serviceUnavailable, "\(listener.configuration.sessions) sessions are open on this worker (webrtc.sessions)")
      return false
    }
    return true
  }

  /// A browser's offer with simulcast has some 10 KB.
  internal static let maximumOffer = 256 << 10

  private func publish(_ exchange: HTTPExchange, _ offer: String, _ client: ClientInfo) {
    do throws(SessionAnswer.Failure) {
      let answer = try SessionAnswer(offer, for: .receive, random: &listener.random)
      guard let (peer, text) = connect(exchange, answer) else { return }
      let id = listener.makeID()
      do throws(PublishError) {
        let session = try WHIPPublisher(
          id, resource: exchange.request.target.path + "/" + id, peer: peer, answer: answer, client: client, listener: listener,
          admission: admission)
        begin(exchange, session, client, text)
      } catch {
        peer.close()
        exchange.refuse(.conflict, "\(error)")
      }
    } catch { exchange.refuse(.badRequest, "\(error)") }
  }

  private func watch(_ exchange: HTTPExchange, _ offer: String, _ client: ClientInfo, _ rendition: Rendition = .realtime) {
    let reader = PacketReader(ring: admission.hub.packetRing(PacketKey(client.path, rendition)), client: client)
    let join = WHEPJoin(exchange, reader, limit: admission.hub.configuration.waitForPublisher)
    joins[ObjectIdentifier(join)] = join
    join.begin { [self] isReady in
      joins[ObjectIdentifier(join)] = nil
      guard isReady else {
        reader.ring.remove(reader)
        if !exchange.isFinished { exchange.refuse(.notFound, "nobody publishes \(client.path)") }
        return
      }
      watch(exchange, offer, reader)
    }
  }

  private func watch(_ exchange: HTTPExchange, _ offer: String, _ reader: PacketReader) {
    let codecs = reader.ring.tracks.map(\.codec)
    do throws(SessionAnswer.Failure) {
      let answer = try SessionAnswer(offer, for: .send, preferred: codecs, random: &listener.random)
      if reader.ring.key.rendition == .realtime, Self.needsCompatible(reader.ring.tracks, answer) {
        reader.ring.remove(reader)
        return watch(exchange, offer, reader.client, .compatible)
      }
      if let missing = Self.unplayable(reader.ring, answer) { return refuse(exchange, reader, 406, missing) }
      guard let (peer, text) = connect(exchange, answer) else { return reader.ring.remove(reader) }
      let id = listener.makeID()
      let session = WHEPViewer(
        id, resource: exchange.request.target.path + "/" + id, peer: peer, answer: answer, reader: reader,
        layer: exchange.request.target.query.first("layer"), listener: listener, admission: admission)
      begin(exchange, session, reader.client, text)
    } catch { refuse(exchange, reader, .badRequest, "\(error)") }
  }

  private func refuse(_ exchange: HTTPExchange, _ reader: PacketReader, _ status: HTTPStatus, _ reason: String) {
    reader.ring.remove(reader)
    exchange.refuse(status, reason)
  }

  private static func takes(_ codec: Codec, _ answer: SessionAnswer) -> Bool {
    answer.outgoing.contains { $0.kind == codec.kind && $0.forwarded.payloadTypes(codec) != nil }
  }

  /// Few browsers decode HEVC, and nearly all H.264.
  private static func needsCompatible(_ tracks: [PacketTrack], _ answer: SessionAnswer) -> Bool {
    tracks.contains { $0.codec == .hevc } && !takes(.hevc, answer) && takes(.h264, answer)
  }

  /// Why a viewer would see nothing, or hear nothing of a stream that has only sound.
  private static func unplayable(_ ring: PacketRing, _ answer: SessionAnswer) -> String? {
    let isPlayable = { (track: PacketTrack) in takes(track.codec, answer) }
    let wanted = ring.tracks.filter { track in answer.outgoing.contains { $0.kind == track.kind } }
    if ring.key.rendition == .compatible, !ring.tracks.contains(where: { $0.kind == .video }) {
      return "the stream's video is HEVC, which the offer does not have, and cannot be made into H264: as many streams are being "
        + "transcoded as may be (transcode.max_streams), or none may (transcode.video)"
    }
    guard let main = wanted.first(where: { $0.kind == .video }) ?? wanted.first, !isPlayable(main) else { return nil }
    return "the stream's \(main.kind.rawValue) is \(main.codec), which the offer does not have"
  }

  /// Makes the transport and completes the answer; `nil` when the exchange has been answered.
  internal func connect(_ exchange: HTTPExchange, _ answer: SessionAnswer) -> (PeerSession, String)? {
    guard let socket = listener.socket, let transport = listener.makeTransport() else { return nil }
    let now = context.now
    var answer = answer
    answer.setTransport(
      transport.localCredentials, listener.identity.fingerprint, candidates: transport.localCandidates.map { String("\($0)".dropFirst(10)) }
    )
    let mode = CongestionMode(answer.outgoing.map(\.extensions))
    let outgoing = answer.outgoing.map { section in
      OutgoingTrack(
        OutgoingTrack.Parameters(
          mid: section.mid, ssrc: section.ssrc, payloadType: section.codecs.first?.payloadType ?? 0,
          rtx: section.codecs.first { $0.associatedPayloadType != nil }.map { (section.rtx, $0.payloadType) },
          fec: section.codecs.first { $0.isNamed("flexfec-03") }.map { (section.fec, $0.payloadType) },
          clockRate: section.codecs.first?.clockRate ?? 90_000, cname: SessionAnswer.cname, stampID: section.extensions.stampID(for: mode),
          hasNACK: section.codecs.contains { $0.feedback.contains(.nack) }),
        random: &listener.random)
    }
    var media = PeerMedia(
      answer.incoming, outgoing, reporter: UInt32.random(in: 1...UInt32.max, using: &listener.random), cname: SessionAnswer.cname)
    if !outgoing.isEmpty { media.congestion = CongestionControl(mode) }
    let peer = PeerSession(transport, media, clock: listener.clock, in: context)
    peer.attach(to: socket)
    do throws(ICEError) {
      try transport.connect(
        to: answer.remote, isLite: answer.remoteIsLite, fingerprints: answer.fingerprints, role: answer.role, now: now)
    } catch {
      peer.close()
      exchange.refuse(.badRequest, "\(error)")
      return nil
    }
    // A lite agent does not look for a way to them; they tell people and metrics how the peer thinks it can be reached.
    for text in answer.remoteCandidates {
      do throws(ICEError) { try transport.addRemote(ICECandidate(text), now: now) } catch { continue }
    }
    return (peer, answer.description.write())
  }

  private func begin(_ exchange: HTTPExchange, _ session: any WebRTCSession, _ client: ClientInfo, _ answer: String) {
    listener.sessions[session.id] = session
    listener.begun += 1
    admission.access.sessionDidBegin(client)
    context.log(.info, client.transport, "\(client.path): session begins", ["peer": "\(client.remote)", "client": client.id])
    session.peer.settle()
    addLinks(exchange)
    exchange.respond(
      .created,
      ["Content-Type": "application/sdp", "Location": session.resource, "ETag": session.etag, "Accept-Patch": TrickleFragment.mediaType],
      Slice(Array(answer.utf8)))
  }

  /// RFC 9725 §4.6.
  private func addLinks(_ exchange: HTTPExchange) {
    for server in listener.configuration.iceServers { exchange.responseFields.append("Link", "<\(server)>; rel=\"ice-server\"") }
  }

  // MARK: Changing

  /// Runs `body` where the session lives, with the exchange's ticket.
  private func reach(
    _ exchange: HTTPExchange, _ id: String, _ body: @escaping @Sendable (HeldExchange, any WebRTCSession, WebRTCListener) -> Void
  ) {
    guard let worker = WebRTCListener.worker(of: id), loops.indices.contains(worker) else { return Self.unknown(exchange) }
    let ticket = held.hold(exchange, for: .seconds(10)) { $0.refuse(.serviceUnavailable, "the session's worker did not answer in time") }
    let run: @Sendable (LoopContext) -> Void = { context in
      let listener = context.service(WebRTCListener.self)
      guard let session = listener.sessions[id] else { return ticket.answer(from: context) { Self.unknown($0) } }
      body(ticket, session, listener)
    }
    if worker == context.loop.index { run(context) } else { loops[worker].post(run) }
  }

  private static func unknown(_ exchange: HTTPExchange) { exchange.refuse(.notFound, "there is no such session; it may have ended") }

  internal func close(_ exchange: HTTPExchange, _ id: String) {
    reach(exchange, id) { ticket, session, listener in
      session.end("ended by DELETE")
      ticket.answer(from: listener.context) { $0.respond(.ok) }
    }
  }

  private func change(_ exchange: HTTPExchange, _ id: String) {
    guard Self.hasContent(exchange, TrickleFragment.mediaType) else {
      return exchange.refuse(.unsupportedMediaType, "expected \(TrickleFragment.mediaType)")
    }
    let condition = exchange.request.fields.first("If-Match")
    exchange.collectBody(limit: TrickleFragment.limit) { [self] body in
      do throws(ICEError) {
        let fragment = try TrickleFragment(String(decoding: body, as: UTF8.self))
        reach(exchange, id) { ticket, session, listener in
          Self.apply(fragment, condition, to: session, ticket, listener)
        }
      } catch { exchange.refuse(.badRequest, "\(error)") }
    }
  }

  /// RFC 9725 §4.3: the credentials tell trickling from a restart, If-Match which session state was meant.
  private static func apply(
    _ fragment: TrickleFragment, _ condition: String?, to session: any WebRTCSession, _ ticket: HeldExchange, _ listener: WebRTCListener
  ) {
    let (context, peer) = (listener.context, session.peer)
    guard condition == nil || condition == "*" || condition == session.etag else {
      return ticket.answer(from: context) { $0.refuse(.preconditionFailed, "the session's ICE was restarted since (If-Match)") }
    }
    let present = peer.transport.remoteCredentials
    guard let name = fragment.fragment, let password = fragment.password, name != present?.fragment else {
      for candidate in fragment.candidates { do { try peer.transport.addRemote(candidate, now: context.now) } catch { break } }
      if fragment.isLast { peer.transport.endOfRemoteCandidates(now: context.now) }
      peer.settle()
      return ticket.answer(from: context) { $0.respond(.noContent) }
    }
    let credentials = peer.restartICE()
    do throws(ICEError) {
      try peer.transport.reconnect(to: ICECredentials(fragment: name, password: password), now: context.now)
    } catch {
      let reason = "\(error)"
      return ticket.answer(from: context) { $0.refuse(.badRequest, reason) }
    }
    peer.settle()
    let (text, etag) = (TrickleFragment.answer(credentials, candidates: peer.transport.localCandidates), session.etag)
    ticket.answer(from: context) { exchange in
      exchange.respond(.ok, ["Content-Type": TrickleFragment.mediaType, "ETag": etag], Slice(Array(text.utf8)))
    }
  }
}

/// A viewer whose answer waits for the stream's tracks, since it depends on their codecs.
private final class WHEPJoin: PacketReaderOwner {
  private let exchange: HTTPExchange
  private let reader: PacketReader
  private let limit: TimeSpan
  private var done: ((Bool) -> Void)?

  init(_ exchange: HTTPExchange, _ reader: PacketReader, limit: TimeSpan) {
    self.exchange = exchange
    self.reader = reader
    self.limit = limit
  }

  func begin(_ done: @escaping (Bool) -> Void) {
    self.done = done
    reader.owner = self
    exchange.onClose = { [weak self] in self?.finish(false) }
    exchange.context.schedule(after: limit) { [weak self] in self?.finish(false) }
    reader.ring.add(reader)
  }

  private func finish(_ isReady: Bool) {
    guard let done = self.done.take() else { return }
    reader.owner = nil
    exchange.onClose = nil
    done(isReady && !exchange.isFinished)
  }

  func readerDidConfigure(_ reader: PacketReader) { if !reader.ring.tracks.isEmpty { finish(true) } }
  func readerHasPackets(_ reader: PacketReader) {}
  func readerDidEnd(_ reader: PacketReader, _ reason: EndReason) { finish(false) }
  func readerWasKicked(_ reader: PacketReader, _ reason: KickReason) { finish(false) }
}
