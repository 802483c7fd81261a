internal import MartletICE
internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSCTP
internal import MartletSDP

// What the session says.
extension PeerConnectionCore: PeerSessionHandler {
  func session(_ session: PeerSession, didChange state: PeerTransport.State) {
    failure = session.transport.failure
    let state = PeerConnection.ConnectionState(state)
    // The peer has said goodbye.
    guard state != .closed else { return context.atEndOfTurn { [weak self] in self?.close() } }
    events.box.put(.connectionState(state))
    for watcher in watchers { watcher.put(state) }
  }

  func session(_ session: PeerSession, didRaise event: ICEEvent) {
    switch event {
    case .needsResolution(let candidate): resolve(candidate)
    case .needsConnection(let base, let remote): gatherer.connect(base, to: remote)
    case .selected(let pair): gatherer.didSelect(pair)
    case .stateChanged, .consentLost, .roleChanged: break
    }
  }

  /// The host name of a candidate, such as browsers hide their addresses behind.
  private func resolve(_ candidate: ICECandidate) {
    guard case .name(let name) = candidate.host else { return }
    let id = id
    let take = { [weak residents] (ip: IPAddress?) in
      guard let core = residents?.connections[id], let ip else { return }
      core.addRemote(candidate.resolved(to: ip))
      core.session.settle()
    }
    if let name = DNSName(name), name.isMulticast { return residents.multicast.resolve(name, then: take) }
    context.resolve(name) { result in take(try? result.get().first) }
  }

  func session(_ session: PeerSession, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer) {
    let stream = session.media.incoming.streams[packet.stream]
    guard let transceiver = transceiver(receiving: stream) else { return }
    if flowing.insert(transceiver.id).inserted { transceiver.arrival.settle(true) }
    let payload = Slice(copying: UnsafeRawBufferPointer(rebasing: buffer[packet.payload]).bytes)
    if !payload.isEmpty {
      transceiver.packets.box.put(
        MediaTransceiver.Packet(
          payloadType: packet.header.payloadType, sequenceNumber: packet.header.sequenceNumber, timestamp: packet.header.timestamp,
          marker: packet.header.marker, payload: payload.array))
    }
    if receivers[packet.stream]?.codec != stream.media { receivers[packet.stream] = stream.media.flatMap { TrackReceiving($0) } }
    if packet.isBesideMedia { hear(payload, packet, stream, transceiver) }
    let content = packet.isBesideMedia ? Slice() : payload
    if receivers[packet.stream]?.receive(packet.header, content, into: transceiver, now: context.now) == true {
      session.media.incoming.requestKeyFrame(packet.stream)
    }
  }

  private func hear(_ payload: Slice, _ packet: IncomingMedia.Packet, _ stream: IncomingStream, _ transceiver: MediaTransceiver) {
    let codec = sections[stream.section].codecs.first { $0.payloadType == packet.header.payloadType }
    guard codec?.isNamed("CN") == true, let noise = try? ComfortNoise(payload) else { return }
    transceiver.noise.box.put(
      MediaTransceiver.Noise(timestamp: packet.header.timestamp, level: -Int(noise.level), reflection: noise.reflection))
  }

  func session(_ session: PeerSession, didReceive event: PeerMedia.Event) {
    switch event {
    case .keyFrameRequested(let index):
      if let sender = senders.values.first(where: { $0.index == index }) { askForKeyFrame(sender) }
    case .missing(let index, let lost):
      senders.values.first { $0.index == index }?.retransmit(lost, over: session, now: context.now)
    case .goodbye: break
    }
  }

  func session(_ session: PeerSession, didReceive event: DataChannelEvent) {
    switch event {
    case .opened(let number, let options):
      let channel = DataChannel(options, key: nextChannel, connection: id)
      nextChannel += 1
      channels[number] = channel
      numbers[channel.key] = number
      channel.didOpen()
      events.box.put(.dataChannel(channel))
    case .open(let number): channels[number]?.didOpen()
    case .message(let number, let kind, let payload):
      guard let channel = channels[number] else { return }
      let count = channel.messages.box.put(
        kind == .text ? .text(String(repairing: payload.bytes)) : .binary(payload.array))
      if count > Self.maximumWaiting { session.isDataPaused = true }
    case .bufferedAmountLow(let number):
      for box in rooms.removeValue(forKey: number) ?? [] {
        box.put(())
        box.finish()
      }
    case .closed(let number):
      if let channel = channels.removeValue(forKey: number) {
        numbers[channel.key] = nil
        channel.didClose()
      }
      for box in rooms.removeValue(forKey: number) ?? [] { box.finish() }
    case .connected, .ended: break
    }
  }

  func sessionDidWake(_ session: PeerSession) {
    gatherer.timeout(now: context.now)
    for (index, receiver) in receivers {
      guard let transceiver = transceiver(receiving: session.media.incoming.streams[index]) else { continue }
      if receiver.timeout(into: transceiver, now: context.now) { session.media.incoming.requestKeyFrame(index) }
    }
  }

  func sessionDidReceiveBatch(_ session: PeerSession) {
    session.ownDeadline = ([gatherer.deadline, sendHeld()] + receivers.values.map(\.deadline)).compactMap(\.self).min()
  }
}
