internal import MartletCrypto
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletSCTP

// Data channels, by their key before they have a number and by their number on the wire afterwards.
extension PeerConnectionCore {
  func openChannel(_ label: String, _ options: DataChannel.Options) throws(PeerError) -> DataChannel {
    var wanted = DataChannelOptions(label: label, protocolName: options.protocolName)
    wanted.isOrdered = options.isOrdered
    wanted.maximumRetransmissions = options.maximumRetransmits.map { UInt16(clamping: $0) }
    wanted.lifetime = options.maximumPacketLifetime.map { TimeSpan($0) }
    wanted.negotiatedID = options.negotiatedID.map { UInt16(clamping: $0) }
    try negotiate { negotiation throws(NegotiationError) in try negotiation.openDataChannels() }
    let channel = DataChannel(wanted, key: nextChannel, connection: id)
    nextChannel += 1
    if hasDataChannels { try open(channel, wanted) } else { early.append((channel, wanted)) }
    return channel
  }

  func open(_ channel: DataChannel, _ options: DataChannelOptions) throws(PeerError) {
    do throws(DataChannelError) {
      let number = try session.openChannel(options)
      channels[number] = channel
      numbers[channel.key] = number
    } catch { throw PeerError(.operation, "\(error)") }
    session.settle()
  }

  func openDataChannels(_ parameters: DataChannelParameters) {
    guard !hasDataChannels, let role = negotiation.dtlsRole else { return }
    hasDataChannels = true
    let largest = parameters.maxMessageSize.map { $0 == 0 ? 1 << 30 : Int(clamping: $0) } ?? 1 << 30
    session.enableDataChannels(port: parameters.remotePort, largestMessage: largest, isClient: role == .client, random: random)
    for (channel, options) in exchange(&early, with: []) {
      do throws(PeerError) { try open(channel, options) } catch { channel.didClose() }
    }
  }

  func bufferedAmount(of key: UInt64) -> Int { numbers[key].map { session.bufferedAmount(of: $0) } ?? 0 }

  func send(_ kind: DataChannelKind, _ payload: Slice, on key: UInt64) throws(PeerError) {
    guard let number = numbers[key] else { throw PeerError(.invalidState, "the channel is not open: wait for waitUntilOpen") }
    do throws(DataChannelError) { try session.send(kind, payload, on: number) } catch { throw PeerError(.operation, "\(error)") }
    session.settle()
  }

  /// Tells `box` when a channel may be sent on again.
  func tellRoom(of key: UInt64, _ box: PeerBox<Void>) {
    guard let number = numbers[key], session.bufferedAmount(of: number) > 1 << 20 else {
      box.put(())
      return box.finish()
    }
    session.setLowThreshold(256 << 10, of: number)
    rooms[number, default: []].append(box)
  }

  func closeChannel(_ key: UInt64) {
    guard let number = numbers[key] else {
      for entry in early where entry.channel.key == key { entry.channel.didClose() }
      return early.removeAll { $0.channel.key == key }
    }
    session.closeChannel(number)
    session.settle()
  }

  func resumeData() {
    guard session.isDataPaused else { return }
    session.isDataPaused = false
    session.settle()
  }
}
