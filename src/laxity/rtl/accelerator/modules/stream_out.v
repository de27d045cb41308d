// Gives the result out as a stream of 32-bit integers, one per beat: channel blocks outermost, then rows, then columns,
// then the channels of the block. Lanes that carry no channel are left out.
module stream_out #(
  parameter ROWS = 2,
  parameter CODE_BITS = 32,
  parameter SIGNED = 1,
  parameter WORDS = 1,           // words of the result
  parameter FULL_WORDS = 1,      // words before the block in which only some lanes carry channels
  parameter LAST_LANES = 2,      // lanes that carry channels in that block
  parameter ADDRESS_BITS = 1
) (
  input wire clk,
  input wire rst,
  input wire enable,
  output reg [ADDRESS_BITS-1:0] address,
  input wire [ROWS*CODE_BITS-1:0] word,
  output wire [31:0] tdata,
  output wire tvalid,
  output wire tlast,
  input wire tready,
  output wire unloaded
);
  localparam LANE_BITS = 16;
  reg [LANE_BITS-1:0] lane;
  reg read;                      // the memory has had its cycle for this address
  wire [CODE_BITS-1:0] code = word[lane*CODE_BITS+:CODE_BITS];
  wire lane_end = lane == ((address >= FULL_WORDS) ? LAST_LANES - 1 : ROWS - 1);
  wire sent = tvalid & tready;

  generate
    if (CODE_BITS >= 32) begin : full
      assign tdata = code[31:0];
    end else begin : extended
      assign tdata = {{(32 - CODE_BITS) {SIGNED ? code[CODE_BITS-1] : 1'b0}}, code};
    end
  endgenerate

  assign tvalid = enable & read;
  assign tlast = address == WORDS - 1 && lane_end;
  assign unloaded = sent & tlast;

  always @(posedge clk) begin
    if (rst) begin
      address <= 0;
      lane <= 0;
      read <= 1'b0;
    end else if (!enable) read <= 1'b0;
    else if (!read) read <= 1'b1;
    else if (sent) begin
      lane <= lane_end ? 0 : lane + 1'b1;
      if (lane_end) begin
        address <= tlast ? 0 : address + 1'b1;
        read <= 1'b0;
      end
    end
  end
endmodule
