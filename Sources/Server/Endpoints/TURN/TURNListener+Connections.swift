internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

// TCP relays (RFC 6062). A connection to a peer is made where the allocation is. The client's own connection for it may come to any
// worker, also over TLS, so it is the peer's that is handed over.
extension TURNListener {
  internal func connect(_ id: UInt32, from relay: TURNRelayID, to peer: SocketAddress) {
    guard let relay = streamRelays[relay] else { return server.connectionDidClose(id, now: context.now) }
    do throws(SystemError) {
      links[id] = try TURNPeerLink(connectingTo: peer, from: relay, id, of: self)
    } catch {
      context.log(.debug, "turn", "\(error)")
      server.connectionDidClose(id, now: context.now)
    }
  }

  internal func peerDidConnect(_ connection: TCPConnection, to relay: TURNRelayID) {
    guard let id = server.peerDidConnect(connection.remote, to: relay, now: context.now), let relay = streamRelays[relay] else {
      return connection.close()
    }
    links[id] = TURNPeerLink(connection, at: relay, id, of: self)
    settle()
  }

  internal func linkDidOpen(_ id: UInt32) {
    server.connectionDidOpen(id, now: context.now)
    settle()
  }

  internal func linkDidClose(_ id: UInt32) {
    links[id] = nil
    server.connectionDidClose(id, now: context.now)
    settle()
  }

  internal func disconnect(_ id: UInt32) {
    if let link = links.removeValue(forKey: id) {
      link.connection?.handler = nil
      link.connection?.close()
    }
    if let handover = handedOver.removeValue(forKey: id) {
      count(id, handover)
      loops[handover.worker].post { $0.service(TURNListener.self).pipes[id]?.close() }
    }
    server.connectionDidClose(id, now: context.now)
  }

  // MARK: Usage

  /// Adds what pipes have carried since to the usage of their allocations.
  internal func countPipes() {
    for (id, handover) in handedOver { count(id, handover) }
  }

  private func count(_ id: UInt32, _ handover: TURNPeerHandover) {
    let (sent, received) = handover.carried.take()
    server.connectionDidCarry(id, sent: sent, received: received)
  }

  // MARK: ConnectionBind

  /// Asks the worker that has the connection for it; the client's is not read meanwhile.
  internal func bind(_ bind: TURNConnectionBind) {
    guard let stream = stream(bind.flow) else { return }
    guard bind.worker < loops.count else { return finish(bind, nil) }
    stream.connection.pauseReading()
    stream.isBinding = true
    let asker = context.loop
    loops[bind.worker].post { context in
      let handover = context.service(TURNListener.self).claim(bind, for: asker.index)
      asker.post { $0.service(TURNListener.self).finish(bind, handover) }
    }
  }

  private func claim(_ bind: TURNConnectionBind, for worker: Int) -> TURNPeerHandover? {
    guard server.claimConnection(bind.id, username: bind.username), let link = links.removeValue(forKey: bind.id),
      let connection = link.connection?.handOver()
    else { return nil }
    let handover = TURNPeerHandover(connection: connection, worker: worker, rate: link.rate)
    handedOver[bind.id] = handover
    return handover
  }

  private func finish(_ bind: TURNConnectionBind, _ handover: TURNPeerHandover?) {
    guard let stream = stream(bind.flow) else { return pipeDidEnd(bind.id, worker: bind.worker) }
    stream.isBinding = false
    server.answer(bind, isGranted: handover != nil, now: context.now)
    settle()
    if let handover {
      let pipe = TURNPipe(handover, bind.id, worker: bind.worker, of: stream, in: self)
      pipes[bind.id] = pipe
      leaveWaiting(stream)
      stream.join(pipe)
    }
    stream.connection.resumeReading()
  }

  internal func pipeDidEnd(_ id: UInt32, worker: Int) {
    pipes[id] = nil
    guard worker < loops.count else { return }
    loops[worker].post { context in
      let owner = context.service(TURNListener.self)
      if let handover = owner.handedOver.removeValue(forKey: id) { owner.count(id, handover) }
      owner.linkDidClose(id)
    }
  }
}
