import MartletEndpoints
import MartletIO
import MartletMedia
import MartletPrimitives

let log = Log(level: .debug) { print($0.level, $0.subsystem, $0.message, $0.fields) }
let census = ConnectionCensus()
let directory = StreamDirectory()
let loops = (0..<2).map { EventLoop(index: $0) }
let mesh = MediaMesh(loops: loops)
let workers = loops.map { loop in
  Worker(loop, log: log) { context in
    let hub = MediaHub(StreamConfiguration(), directory: directory, mesh: mesh, in: context)
    context.register(hub)
    let listener = RTMPListener(.init(), hub: hub, access: OpenAccess())
    context.register(listener)
    try! listener.listen(on: SocketAddress("127.0.0.1:1935")!, census: census, in: context)
  }
}
for worker in workers { worker.join() }
