internal import MartletCrypto
internal import MartletHLS
internal import MartletHTTP
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
package import MartletWeb

/// HLS requests of one worker: `/APP/NAME.m3u8` and what it points to.
///
/// Everything is answered from the catalog, on the worker where the request came. Only the first request of a stream goes to
/// the stream's home, to start the output, and is held until the first segment exists.
package final class HLSEndpoint {
  /// A playlist request that waits for a segment.
  private struct Waiting {
    let ticket: HeldExchange
    let address: HLSAddress
  }

  private let configuration: HLSConfiguration
  private let admission: Admission
  private let catalog: HLSCatalog
  private let held: HeldExchanges
  private var permits: HLSPermits
  private var waiting: [StreamPath: [Waiting]] = [:]
  private var isSweepScheduled = false

  package init(_ configuration: HLSConfiguration, _ admission: Admission, _ catalog: HLSCatalog, _ held: HeldExchanges) {
    self.configuration = configuration
    self.admission = admission
    self.catalog = catalog
    self.held = held
    permits = HLSPermits()
  }

  private var worker: Int { admission.context.loop.index }

  /// Takes the request when its path has the form of one.
  package func handle(_ exchange: HTTPExchange) -> Bool {
    guard configuration.isEnabled, let address = HLSAddress(exchange.request.target.path) else { return false }
    guard exchange.request.method == .get || exchange.request.method == .head else {
      exchange.responseFields.append("Allow", "GET, HEAD")
      exchange.refuse(.methodNotAllowed, "playlists and segments can only be read")
      return true
    }
    admit(exchange, address)
    return true
  }

  // MARK: Permission

  private func admit(_ exchange: HTTPExchange, _ address: HLSAddress) {
    let path = address.stream
    let request = exchange.accessRequest(.play, on: path.text, transport: "hls")
    let key = HLSViewerKey(request, path: path)
    let now = admission.context.now
    if catalog.isBlocked(key, now: now) { return exchange.refuse(.forbidden, "\(KickReason.administrator)") }
    if permits.isAllowed(key, now: now) { return answer(exchange, address, key) }
    admission.access.decide(request) { [weak self] decision in
      guard let self, !exchange.isFinished else { return }
      switch decision {
      case .denied(let reason, let isFinal):
        self.admission.context.log(.warning, "hls", "play of \(path) refused: \(reason)", ["peer": "\(exchange.remote)"])
        exchange.deny(request, reason, isFinal: isFinal)
      case .allowed(let user, let expires, let tokenID):
        self.permits.allow(
          key, user: user, tokenID: tokenID,
          expires: expires.map { .milliseconds(Int($0.milliseconds - self.admission.context.wallTime.milliseconds)) },
          now: self.admission.context.now)
        self.answer(exchange, address, key)
      }
    }
  }

  /// Tells the stream's home that somebody watches, once a second for each viewer.
  private func visit(_ exchange: HTTPExchange, _ key: HLSViewerKey, bytes: Int) {
    guard let report = permits.visit(key, bytes: bytes, now: admission.context.now) else { return }
    let visit = HLSVisit(
      key: key, remote: exchange.remote, user: report.user, tokenID: report.tokenID,
      userAgent: exchange.request.fields.first("User-Agent"), bytes: report.bytes)
    admission.hub.withStream(key.path) { _, context in context.service(HLSOutputs.self).receive(visit) }
  }

  // MARK: Answers

  private func answer(_ exchange: HTTPExchange, _ address: HLSAddress, _ key: HLSViewerKey) {
    switch address {
    case .segment(let path, let name): respond(exchange, segment: name, of: path, key)
    case .media, .multivariant:
      visit(exchange, key, bytes: 0)
      if isReady(address) { return respond(exchange, address) }
      hold(exchange, address)
    }
  }

  private func respond(_ exchange: HTTPExchange, segment name: String, of path: StreamPath, _ key: HLSViewerKey) {
    guard let window = catalog.presentation(path)?.window, let sequence = window.sequence(inName: name),
      let segment = window.segment(sequence)
    else {
      visit(exchange, key, bytes: 0)
      return exchange.refuse(.notFound, "this segment is not there (any more)")
    }
    visit(exchange, key, bytes: segment.bytes.count)
    let scope = HLSCredentials(exchange).areUsed ? "private" : "public"
    StaticContent(segment.bytes, contentType: "video/mp2t", etag: name, caching: "\(scope), max-age=3600, immutable").respond(exchange)
  }

  private func respond(_ exchange: HTTPExchange, _ address: HLSAddress) {
    let credentials = HLSCredentials(exchange)
    switch address {
    case .media(let path):
      guard let presentation = catalog.presentation(path) else { return refuse(exchange, path) }
      if let refusal = presentation.refusal { return exchange.refuse(406, refusal) }
      if !credentials.areUsed, let playlist = presentation.playlist { return playlist.respond(exchange) }
      let text = presentation.mediaPlaylist(path, baseURL: configuration.segmentBaseURL, query: credentials.query)
      send(exchange, text, etag: Self.tag(text), caching: "no-store")
    case .multivariant(let path): respond(exchange, variantsOf: path, credentials)
    case .segment: break
    }
  }

  private func respond(_ exchange: HTTPExchange, variantsOf path: StreamPath, _ credentials: HLSCredentials) {
    let found = configuration.candidates(path).compactMap { candidate in catalog.presentation(candidate).map { (candidate, $0) } }
    let usable = found.filter { $0.1.isReady && $0.1.refusal == nil }
    guard let age = usable.map(\.1.maximumAge).min() else {
      if let refusal = found.lazy.compactMap(\.1.refusal).first { return exchange.refuse(406, refusal) }
      return refuse(exchange, path)
    }
    let variants = usable.map { other, presentation in
      MultivariantPlaylist.Variant(
        path: Self.relative(other, to: path) + "/" + HLSAddress.mediaName, peakBitRate: presentation.window.peakBitRate,
        averageBitRate: presentation.window.averageBitRate, formats: presentation.formats)
    }
    let text = MultivariantPlaylist.write(variants, query: credentials.query)
    send(exchange, text, etag: Self.tag(text), caching: credentials.areUsed ? "no-store" : "public, max-age=\(age)")
  }

  /// From the playlist `/live/cam.m3u8`, the folder of `live/cam` is `cam`; of a stream elsewhere, its whole path.
  private static func relative(_ other: StreamPath, to path: StreamPath) -> String {
    guard other.segments.dropLast() == path.segments.dropLast(), let name = other.segments.last else { return "/" + other.text }
    return String(name)
  }

  private func send(_ exchange: HTTPExchange, _ text: String, etag: String, caching: String) {
    StaticContent(Slice(Array(text.utf8)), contentType: HLSPlaylistType.name, etag: etag, caching: caching).respond(exchange)
  }

  /// Changes with the text; playlists are small.
  private static func tag(_ text: String) -> String { Hex.encode(Digest.hash(.sha256, Array(text.utf8)).prefix(8)) }

  private func refuse(_ exchange: HTTPExchange, _ path: StreamPath) {
    exchange.responseFields.append("Retry-After", "2")
    if admission.hub.hasStream(path) {
      exchange.refuse(.serviceUnavailable, "\(path) has no segment yet: its encoder sent no key frame, or it just began")
    } else {
      exchange.refuse(.notFound, "nobody publishes \(path)")
    }
  }

  // MARK: Waiting for the first segment

  private func streams(_ address: HLSAddress) -> [StreamPath] {
    if case .multivariant(let path) = address { return configuration.candidates(path) }
    return [address.stream]
  }

  /// Something can be listed, and no stream that is there is still without a segment.
  private func isReady(_ address: HLSAddress) -> Bool {
    var isAnyReady = false
    for path in streams(address) {
      if isReady(path) { isAnyReady = true } else if admission.hub.hasStream(path) { return false }
    }
    return isAnyReady
  }

  /// A playlist that ended is one no more once the stream is published again.
  private func isReady(_ path: StreamPath) -> Bool {
    guard let presentation = catalog.presentation(path), presentation.isReady else { return false }
    return presentation.refusal != nil || !presentation.window.isEnded || !admission.hub.hasStream(path)
  }

  private func hold(_ exchange: HTTPExchange, _ address: HLSAddress) {
    let ticket = held.hold(exchange, for: configuration.hold) { [weak self] exchange in self?.respondLate(exchange, address) }
    for path in streams(address) where !isReady(path) {
      waiting[path, default: []].append(Waiting(ticket: ticket, address: address))
      catalog.await(path, worker: worker)
      admission.hub.ask(for: path)
      admission.hub.withStream(path) { stream, context in
        if let stream { context.service(HLSOutputs.self).start(stream) }
      }
    }
    sweepLater()
  }

  private func respondLate(_ exchange: HTTPExchange, _ address: HLSAddress) {
    if streams(address).contains(where: isReady) {
      respond(exchange, address)
    } else {
      refuse(exchange, address.stream)
    }
  }

  internal func presentationIsReady(_ path: StreamPath) {
    for entry in waiting.removeValue(forKey: path) ?? [] where isReady(entry.address) {
      if let exchange = held.take(entry.ticket) { respond(exchange, entry.address) }
    }
    // Others wait for a second rendition, which will call again.
  }

  /// Forgets those whose client left, and streams that nobody asks for any more.
  private func sweepLater() {
    guard !isSweepScheduled else { return }
    isSweepScheduled = true
    admission.context.schedule(after: .seconds(1)) { [weak self] in
      guard let self else { return }
      self.isSweepScheduled = false
      for (path, entries) in self.waiting {
        let left = entries.filter { self.held.contains($0.ticket) }
        self.waiting[path] = left.isEmpty ? nil : left
        if left.isEmpty { self.catalog.stopAwaiting(path, worker: self.worker) }
      }
      if !self.waiting.isEmpty { self.sweepLater() }
    }
  }
}
