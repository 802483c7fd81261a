// The load generator of `make bench`: publishers with a clock in each frame, viewers that read it, and the floor program.
//
//   bench publish RTMP_HOST:PORT APP/NAME BITS_PER_SECOND SECONDS
//   bench view rtmp|http|hls|raw HOST:PORT APP/NAME VIEWERS SECONDS [PROBE_EVERY]
//   bench floor PORT BITS_PER_SECOND INTERVAL_MS SECONDS
//   bench allocations VIEWERS UNITS
//   bench udp PEERS PICTURES
//   bench fanout martlet|ws|deflate|sse|socketio|raw HOST:PORT SUBSCRIBE_PATH PUBLISH_PATH CLIENTS PER_SECOND SIZE SECONDS
//   bench echo HOST:PORT PATH SIZE CONNECTIONS SECONDS
//   bench idle martlet|ws|sse|socketio HOST:PORT PATH CONNECTIONS SECONDS
//   bench turn relay|floor-relay HOST:PORT USER PASSWORD PAIRS PER_SECOND SIZE SECONDS     PER_SECOND 0 saturates
//   bench turn hold HOST:PORT USER PASSWORD ALLOCATIONS     kept until the standard input ends
//   bench turn bindings HOST:PORT SOCKETS SECONDS
//   bench turn floor PORT
//   bench webrtc IP          WebRTC clients on that address, told what to do by lines of JSON (PeerLoad.swift)
internal import CRelay
internal import Glibc
internal import MartletIO
internal import MartletPrimitives

let arguments = Array(CommandLine.arguments.dropFirst())

func usage() -> Never {
  print(
    "bench publish HOST:PORT APP/NAME BPS SECONDS | view KIND HOST:PORT APP/NAME N SECONDS [PROBE_EVERY] | floor PORT BPS MS SECONDS | allocations N UNITS"
  )
  exit(64)
}

func number(_ index: Int) -> Int {
  guard arguments.count > index, let value = Int(arguments[index]) else { usage() }
  return value
}

func address(_ index: Int) -> SocketAddress {
  guard arguments.count > index, let value = SocketAddress(arguments[index]) else { usage() }
  return value
}

func path(_ index: Int) -> (app: String, name: String) {
  guard arguments.count > index, let slash = arguments[index].lastIndex(of: "/") else { usage() }
  return (String(arguments[index][..<slash]), String(arguments[index][arguments[index].index(after: slash)...]))
}

/// Datagrams under way in each direction of a pair, and Bindings of a socket, when as many are sent as go.
let saturation = (relay: 8, bindings: 16)

func turn() {
  do {
    switch arguments.count > 1 ? arguments[1] : "" {
    case "floor": if relay_floor(UInt16(clamping: number(2))) < 0 { print("cannot listen") }
    case "bindings":
      try TURNLoad.bindings(address(2), sockets: number(3), window: saturation.bindings, seconds: Double(number(4)))
    case let kind where ["relay", "floor-relay", "hold"].contains(kind):
      guard arguments.count > 5 else { usage() }
      let account = TURNLoad.Account(server: address(2), username: arguments[3], password: arguments[4])
      if kind == "hold" { return try TURNLoad.hold(account, count: number(5)) }
      let load = relay_load(
        size: Int32(clamping: number(7)), rate: Int32(clamping: number(6)), window: Int32(saturation.relay), seconds: Double(number(8)))
      try TURNLoad.relay(account, pairs: number(5), load: load, floor: kind == "floor-relay")
    default: usage()
    }
  } catch {
    print("turn: \(error)")
    exit(1)
  }
}

let log = Log(level: .warning) { print("\($0.subsystem): \($0.message)") }

switch arguments.first {
case "publish":
  let (target, name, bitrate, seconds) = (address(1), path(2), number(3), number(4))
  let worker = Worker(EventLoop(index: 0), log: log) { context in
    let publisher = BenchPublisher(app: name.app, name: name.name, host: "\(target)", bitrate: bitrate, context)
    context.register(publisher)
    _ = try? TCPConnection(connectingTo: target, in: context, handler: publisher)
    context.schedule(after: .seconds(seconds)) { context.stop() }
  }
  worker.join()
case "view":
  guard let kind = arguments.count > 1 ? ViewerProtocol(rawValue: arguments[1]) : nil else { usage() }
  let (target, name, viewers, seconds) = (address(2), path(3), number(4), number(5))
  let probeEvery = arguments.count > 6 ? number(6) : 1
  let worker = Worker(EventLoop(index: 0), log: log) { context in
    let tally = Tally()
    let ramp = TimeSpan(nanoseconds: Int64(max(1, viewers)) * 4_000_000)
    for index in 0..<viewers {
      context.schedule(after: TimeSpan(nanoseconds: Int64(index) * 4_000_000)) {
        let isProbe = index % max(1, probeEvery) == 0
        let viewer: any TCPConnectionHandler =
          kind == .hls
          ? HLSViewer(host: "\(target)", playlist: "/\(arguments[3])", number: index, tally, context)
          : Viewer(kind, ("\(target)", name.app, name.name), number: index, isProbe: isProbe, tally, context)
        _ = try? TCPConnection(connectingTo: target, in: context, handler: viewer)
      }
    }
    let start = context.now + ramp + .seconds(2)
    context.schedule(at: start) {
      tally.measureFrom = context.now
      tally.missed = 0
      print("measuring")
      fflush(nil)
    }
    context.schedule(at: start + .seconds(seconds)) {
      let probes = kind == .hls ? viewers : (0..<viewers).count { $0 % max(1, probeEvery) == 0 }
      print(tally.report(viewers: viewers, probes: probes, seconds: (context.now - tally.measureFrom).seconds, now: context.now))
      context.stop()
    }
  }
  worker.join()
case "floor":
  Floor.run(port: UInt16(clamping: number(1)), bitrate: number(2), intervalMilliseconds: number(3), seconds: number(4))
case "allocations":
  AllocationBenchmark.run(viewers: number(1), units: number(2))
case "udp":
  UDPBenchmark.run(peers: number(1), pictures: number(2))
case "fanout":
  guard arguments.count > 8, let kind = MessageProtocol(rawValue: arguments[1]) else { usage() }
  let (target, subscribe, publish, size, rate) = (address(2), arguments[3], arguments[4], number(7), number(6))
  MessageBenchmark.run(
    clients: number(5), to: target, seconds: number(8),
    publisher: publish == "-"
      ? nil : { MessagePublisher(host: "\(target)", path: publish, size: size, perSecond: rate, $0) }
  ) { MessageSubscriber(kind, host: "\(target)", path: subscribe, $0) }
case "echo":
  let (target, path, size) = (address(1), arguments.count > 2 ? arguments[2] : "/", number(3))
  MessageBenchmark.run(clients: number(4), to: target, seconds: number(5), publisher: nil) {
    EchoClient(host: "\(target)", path: path, size: size, $0)
  }
case "idle":
  guard arguments.count > 5, let kind = MessageProtocol(rawValue: arguments[1]) else { usage() }
  let (target, path) = (address(2), arguments[3])
  MessageBenchmark.run(clients: number(4), to: target, seconds: number(5), publisher: nil) {
    MessageSubscriber(kind, host: "\(target)", path: path, $0)
  }
case "turn": turn()
case "webrtc":
  guard arguments.count > 1, let ip = IPAddress(arguments[1]) else { usage() }
  PeerLoad.run(on: ip)
default: usage()
}
