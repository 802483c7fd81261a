internal import MartletCodecs
internal import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletWebRTC

// Pictures that have to wait, since the path takes no more now.
extension StreamForwarding {
  /// How long. Beyond, the next key frame is better than growing delay.
  private static let patience = TimeSpan.milliseconds(500)

  /// Sends what waited, as far as the path takes it now.
  internal func release(_ now: Instant) {
    guard let start = held, let end = cursor, let index = senders.firstIndex(where: { $0.section.kind == .video }) else { return }
    if start < ring.base { skip(index, now) }
    let newest = senders[index].track.flatMap { ring.joinPoint(track: $0, layer: senders[index].wantedLayer) } ?? end
    for offset in max(start, ring.base)..<max(start, ring.base, end) {
      let packet = ring.packet(at: offset)
      guard packet.track == senders[index].track else { continue }
      if isTooLate(packet, offset, index, now) { skip(index, now) }
      // Who goes on at a key frame goes on at the newest: the others are late as well.
      let isOld = senders[index].awaitsKey && offset < newest
      guard !isOld, admits(packet, index) else {
        leaveOut(packet, index, now)
        continue
      }
      guard isOpen(now) else { return held = offset }
      _ = send(packet, index, now)
    }
    held = nil
  }

  internal func isTooLate(_ packet: StreamPacket, _ offset: Int, _ index: Int, _ now: Instant) -> Bool {
    !senders[index].awaitsKey && packet.timestamp != senders[index].keyTimestamp && now - ring.arrival(of: offset) > lag + Self.patience
  }

  /// Goes on at the next key frame.
  internal func skip(_ index: Int, _ now: Instant) {
    senders[index].awaitsKey = true
    lag = .zero
    reader.skips += 1
    keyFrames.didSkip(now)
  }

  /// The numbers of those behind it close ranks: the viewer shall not ask for it.
  internal func leaveOut(_ packet: StreamPacket, _ index: Int, _ now: Instant) {
    guard keyFrames.isWaiting, packet.layer == senders[index].layer else { return }
    leftOut += 1
    peer.media.outgoing[senders[index].outgoing].leaveOut(sequenceNumber: packet.sequence, source: packet.source)
    peer.media.congestion?.leftOut(bytes: packet.payload.count, now: now)
  }

  /// Once the path takes one.
  internal func askForKeyFrame(_ now: Instant) {
    guard keyFrames.isWaiting, isOpen(now), let video = senders.first(where: { $0.section.kind == .video }), let track = video.track,
      Int(track) < ring.tracks.count, ring.tracks[Int(track)].answersRequests, keyFrames.mayAsk(now)
    else { return }
    hub.requestKeyFrame(ring.path, track: track, layer: video.wantedLayer)
  }

  internal func isOpen(_ now: Instant) -> Bool { peer.media.congestion?.isOpen(now) ?? true }

  /// When the path takes more, and while a probe of it is under way.
  internal func comeBack(_ now: Instant) {
    var next = peer.pad(now: now) ?? .distantFuture
    if held != nil || keyFrames.isWaiting, !isOpen(now) { next = min(next, peer.media.congestion?.opening ?? next) }
    if isCatchingUp { next = min(next, now + Self.burstPause) }
    guard next < .distantFuture else { return }
    if let wakeup {
      guard next < wakeup.at else { return }
      context.cancel(wakeup.timer)
    }
    let timer = context.schedule(at: next) { [weak self] in
      self?.wakeup = nil
      self?.isCatchingUp = false
      self?.forward()
    }
    wakeup = (timer, next)
  }
}
