#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/error.h>
#include <libavutil/frame.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>

// Macros that Swift cannot import.
static inline int martlet_averror_eagain(void) { return AVERROR(EAGAIN); }
static inline int martlet_averror_eof(void) { return AVERROR_EOF; }
static const int martlet_codec_flag_global_header = AV_CODEC_FLAG_GLOBAL_HEADER;
static const int martlet_packet_flag_key = AV_PKT_FLAG_KEY;
